#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/program.h"

namespace dept {
namespace {

using testing::HasSubstr;

// A word-level-like BPE over a few letters with a template: <s> A </s> B </s>.
constexpr std::string_view tiny = R"({
  "added_tokens": [{"id": 0, "content": "<s>", "special": true}, {"id": 1, "content": "</s>", "special": true}],
  "decoder": {"type": "Fuse"},
  "post_processor": {"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "</s>"}}],
    "pair": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "</s>"}}, {"Sequence": {"id": "B"}},
             {"SpecialToken": {"id": "</s>"}}],
    "special_tokens": {"<s>": {"ids": [0]}, "</s>": {"ids": [1]}}},
  "model": {"type": "BPE", "vocab": {"<s>": 0, "</s>": 1, "a": 2, "b": 3, "é": 4, "ab": 5}, "merges": ["a b"]}})";

class Tokenize : public testing::Test {
 protected:
  Outcome run(std::vector<std::string> flags, std::string_view input) {
    flags.insert(flags.begin(), {"tokenize", "--model_name_or_path", file_});
    return run_dept(flags, input);
  }
  Scratch scratch_;
  std::string file_ = scratch_.write("tokenizer.json", tiny).string();
};

TEST_F(Tokenize, TextsAndPairsToIds) {
  EXPECT_EQ(run({}, "\"abé\"\n[\"a\", \"b\"]\n\"\"\n").out, "[0,5,4,1]\n[0,2,1,3,1]\n[0,1]\n");
  EXPECT_EQ(run({"--no_special_tokens"}, "\"abé\"\n").out, "[5,4]\n");
  EXPECT_EQ(run({"--max_length", "4"}, "\"baba\"\n[\"bb\", \"b\"]\n").out, "[0,3,5,1]\n[0,3,1,1]\n");
  EXPECT_EQ(run({"--max_length", "5", "--truncation", "only_first"}, "[\"bbb\", \"b\"]\n").out, "[0,3,1,3,1]\n");
}

TEST_F(Tokenize, IdsToText) {
  EXPECT_EQ(run({"--decode"}, "[0,5,4,1]\n[]\n").out, "\"abé\"\n\"\"\n");
  EXPECT_EQ(run({"--decode", "--keep_special_tokens"}, "[0,5,4,1]\n").out, "\"<s>abé</s>\"\n");
}

TEST_F(Tokenize, LinesThatCannotBeUsedEndItWithTheirNumber) {
  const auto error = [&](std::vector<std::string> flags, std::string_view input) {
    const Outcome outcome = run(std::move(flags), input);
    EXPECT_EQ(outcome.code, 3);
    return outcome.err;
  };
  EXPECT_THAT(error({}, "\"a\"\n\"\xff\"\n"), HasSubstr("[stdin: line 2]"));
  EXPECT_THAT(error({}, "\"a\"\n\"\\ud800\"\n"), HasSubstr("[stdin: line 2]"));
  EXPECT_THAT(error({}, "\"a\"\n3\n"), HasSubstr("[stdin: line 2] [text] expected \"text\" or"));
  EXPECT_THAT(error({}, "[\"a\"]\n"), HasSubstr("[stdin: line 1]"));
  EXPECT_THAT(error({"--decode"}, "[0]\n[6]\n"), HasSubstr("[stdin: line 2] [decode] expected ids below 6, received 6"));
  EXPECT_THAT(error({"--decode"}, "\"a\"\n"), HasSubstr("a list of ids"));
  EXPECT_THAT(error({"--max_length", "3", "--truncation", "only_second"}, "\"bbbb\"\n"), HasSubstr("a pair of texts"));
}

TEST_F(Tokenize, TheCommandItselfIsChecked) {
  EXPECT_THAT(expect_one_line(run_dept({"tokenize"}), 2), HasSubstr("--model_name_or_path"));
  EXPECT_THAT(expect_one_line(run({"--truncation", "left"}, ""), 2), HasSubstr("only_first"));
  EXPECT_THAT(expect_one_line(run_dept({"tokenize", "--model_name_or_path", (scratch_ / "none").string()}), 4),
              HasSubstr("none"));
  EXPECT_THAT(expect_one_line(run({"--input", (scratch_ / "none").string()}, ""), 4), HasSubstr("none"));
}

TEST_F(Tokenize, WritesAFile) {
  const std::string out = (scratch_ / "ids").string();
  EXPECT_EQ(run({"--output", out}, "\"a\"\n").out, "");
  EXPECT_EQ(read_file(out), "[0,2,1]\n");
}

}  // namespace
}  // namespace dept
