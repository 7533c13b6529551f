// The files beside a tokenizer.json: what cannot be followed ends in one line that names the file and the key.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dept/base/json.h"
#include "dept/base/log.h"
#include "dept/base/text.h"
#include "dept/text/tokenizer.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

using testing::HasSubstr;

class Settings : public testing::Test {
 protected:
  Settings() {
    scratch_.write("tokenizer.json", R"({"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2,"</s>":3},"merges":["a b"]},)"
                                     R"("added_tokens":[{"id":3,"content":"</s>","special":true}]})");
  }
  std::string refused(const std::string& name, const std::string& text) {
    scratch_.write(name, text);
    const std::string message = error_of(Code::bad_input, [&] { load_tokenizer(scratch_.path()); });
    EXPECT_THAT(message, HasSubstr(name));
    fs::remove(scratch_ / name);
    return message;
  }
  std::string config_refused(const std::string& text) { return refused("tokenizer_config.json", text); }
  Scratch scratch_;
};

TEST_F(Settings, Classes) {
  EXPECT_THAT(
      config_refused(R"({"tokenizer_class":"XLNetTokenizerFast"})"),
      HasSubstr(
          "tokenizer_config.json: tokenizer_class] expected a tokenizer of the class PreTrainedTokenizerFast, T5Tokenizer"));
  EXPECT_THAT(config_refused(R"({"tokenizer_class":7})"), HasSubstr("tokenizer_class] expected a string"));
  EXPECT_THAT(config_refused(R"({"tokenizer_class":"T5Tokenizer"})"), HasSubstr("vocabulary beside it, which has no scores"));
  EXPECT_THAT(config_refused(R"({"auto_map":{"AutoTokenizer":["own.Own",null]}})"), HasSubstr("auto_map"));
  EXPECT_THAT(refused("config.json", R"({"model_type":"deberta-v2"})"), HasSubstr("config.json: model_type] expected"));
  EXPECT_THAT(refused("config.json", R"({"tokenizer_class":"WhisperTokenizer"})"), HasSubstr("config.json: tokenizer_class"));
}

TEST_F(Settings, Values) {
  EXPECT_THAT(config_refused("[]"), HasSubstr("expected an object"));
  EXPECT_THAT(config_refused("{"), HasSubstr("valid JSON"));
  EXPECT_THAT(config_refused(R"({"eos_token":[]})"), HasSubstr("expected a token: a string"));
  EXPECT_THAT(config_refused(R"({"eos_token":{"special":true}})"), HasSubstr("content] expected a string"));
  EXPECT_THAT(config_refused(R"({"additional_special_tokens":"<x>"})"),
              HasSubstr("extra_special_tokens] expected a list of tokens"));
  EXPECT_THAT(config_refused(R"({"extra_special_tokens":[3]})"), HasSubstr("number 3"));
  EXPECT_THAT(config_refused(R"({"extra_special_tokens":{"image_token":3}})"), HasSubstr("image_token] expected a token"));
  EXPECT_THAT(config_refused(R"({"tokenizer_class":"GPT2Tokenizer","add_prefix_space":"yes"})"),
              HasSubstr("add_prefix_space] expected true or false"));
  EXPECT_THAT(config_refused(R"({"truncation_side":"middle"})"), HasSubstr("left or right"));
  EXPECT_THAT(config_refused(R"({"split_special_tokens":1})"), HasSubstr("split_special_tokens] expected true or false"));
  EXPECT_THAT(config_refused(R"({"fast_tokenizer_files":["tokenizer.4.0.json"]})"), HasSubstr("fast_tokenizer_files"));
  EXPECT_THAT(config_refused(R"({"init_inputs":[1]})"), HasSubstr("init_inputs"));
}

TEST_F(Settings, AddedTokens) {
  EXPECT_THAT(config_refused(R"({"added_tokens_decoder":[]})"), HasSubstr("an object of ids and tokens"));
  EXPECT_THAT(config_refused(R"({"added_tokens_decoder":{"x":{"content":"<x>"}}})"), HasSubstr("ids from 0"));
  EXPECT_THAT(config_refused(R"({"added_tokens_decoder":{"-1":{"content":"<x>"}}})"), HasSubstr("ids from 0"));
  EXPECT_THAT(config_refused(R"({"added_tokens_decoder":{"4":"<x>"}})"), HasSubstr("added_tokens_decoder: 4: content"));
  EXPECT_THAT(config_refused(R"({"added_tokens_decoder":{"9":{"content":"<x>"}}})"),
              HasSubstr("added_tokens_decoder] expected the id 4 for \"<x>\", received 9"));
  EXPECT_THAT(refused("added_tokens.json", R"({"<x>":9})"), HasSubstr("expected the id 4 for \"<x>\", received 9"));
  EXPECT_THAT(refused("added_tokens.json", R"({"<x>":"4"})"), HasSubstr("an integer"));
  EXPECT_THAT(refused("special_tokens_map.json", R"({"extra_special_tokens":[{}]})"), HasSubstr("content"));
}

TEST_F(Settings, TheSideThatIsCut) {
  scratch_.write("tokenizer_config.json", R"({"truncation_side":"left"})");
  const auto tokenizer = load_tokenizer(scratch_.path());
  EXPECT_EQ(tokenizer->encode("abba", {.max_length = 2}), (Ids{1, 0}));
  EXPECT_EQ(tokenizer->encode_pair("abba", "bb", {.max_length = 4, .truncation = Truncation::only_first}), (Ids{1, 0, 1, 1}));
}

class MistralWords : public Settings {
 protected:
  MistralWords() {
    Json vocabulary = {{"a", 0}};
    for (int i = 1; i <= 100000; ++i) vocabulary[str("t", i)] = i;
    Json tokenizer = {{"model", {{"type", "BPE"}, {"merges", Json::array()}}}, {"pre_tokenizer", {{"type", "Whitespace"}}}};
    tokenizer["model"]["vocab"] = std::move(vocabulary);
    scratch_.write("tokenizer.json", tokenizer.dump());
    scratch_.write("config.json", R"({"model_type":"mistral"})");
  }
  // The lines that loading the folder logs.
  std::string said() {
    log::to_file(scratch_ / "log");
    load_tokenizer(scratch_.path());
    log::close_file();
    const std::string lines = read_file(scratch_ / "log");
    fs::remove(scratch_ / "log");
    return lines;
  }
};

TEST_F(MistralWords, AreQuestionedWhereNothingDecides) {
  EXPECT_THAT(said(), HasSubstr("tokenizer_config.json] this tokenizer may split words otherwise than Mistral's own"));
  for (const char* value : {"true", "false"}) {
    scratch_.write("tokenizer_config.json", str("{\"fix_mistral_regex\":", value, "}"));
    EXPECT_EQ(said(), "") << value;
  }
  fs::remove(scratch_ / "tokenizer_config.json");
  scratch_.write("config.json", R"({"model_type":"mistral","transformers_version":"5.0.0"})");
  EXPECT_EQ(said(), "");
  scratch_.write("config.json", R"({"model_type":"qwen3"})");
  EXPECT_EQ(said(), "");
}

TEST_F(MistralWords, WhatMakesNoSenseIsRefused) {
  EXPECT_THAT(refused("config.json", R"({"model_type":"mistral","transformers_version":"new"})"),
              HasSubstr("transformers_version] expected a version of transformers, received \"new\""));
  scratch_.write("config.json", R"({"model_type":"mistral"})");
  EXPECT_THAT(config_refused(R"({"fix_mistral_regex":"yes"})"), HasSubstr("fix_mistral_regex] expected true or false"));
}

}  // namespace
}  // namespace dept
