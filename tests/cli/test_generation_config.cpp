// dept generate and score under a model's generation_config.json, or keys of config.json, against transformers:
// tests/parity/make/generation_config.py. And the model's positions as the end of what it can take.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/lines_of.h"
#include "cli/program.h"

namespace dept {
namespace test_generation_config {

using testing::HasSubstr;

fs::path data() {
  return fs::path(DEPT_TEST_DATA) / "parity/data";
}

/// A copy of a tiny model with other files beside its weights.
std::string changed(const Scratch& scratch, const std::string& model, const Json& config, const Json& generation) {
  for (const char* name : {"model.safetensors", "tokenizer.json"}) fs::copy(data() / "models" / model / name, scratch / name);
  Json whole = read_json(data() / "models" / model / "config.json");
  whole.update(config);
  scratch.write("config.json", whole.dump());
  if (!generation.is_null()) scratch.write("generation_config.json", generation.dump());
  return scratch.path().string();
}

TEST(GenerationConfig, AnswersAsTransformers) {
  for (const Json& one : read_json(data() / "generation/config.json")) {
    SCOPED_TRACE(one.dump().substr(0, 200));
    const Scratch scratch;
    const std::string model = changed(scratch, one["model"], one.value("config", Json::object()), one["generation"]);
    Json inputs = Json::array();
    for (const Json& row : one["rows"]) inputs.push_back({{"input_ids", row["input_ids"]}});
    const Outcome outcome = run_dept({"generate", "--model_name_or_path", model}, joined(inputs));
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    const std::vector<Json> lines = parsed(outcome.out);
    ASSERT_EQ(lines.size(), one["rows"].size());
    for (size_t i = 0; i < lines.size(); ++i) EXPECT_EQ(lines[i]["ids"], one["rows"][i]["ids"]) << i;
    if (!one.contains("loss")) continue;
    const Outcome scored = run_dept({"score", "--model_name_or_path", model},
                                    joined({{{"input_ids", one["rows"][0]["input_ids"]}, {"labels", one["labels"]}}}));
    ASSERT_EQ(scored.code, 0) << scored.err;
    EXPECT_NEAR(parsed(scored.out).at(0)["loss"].get<double>(), one["loss"].get<double>(), 1e-4)
        << "labels begin as config.json says";
  }
}

TEST(GenerationConfig, NamesItsFileForAValueThatTakesPart) {
  for (const auto& [name, value] : {std::pair<const char*, Json>{"temperature", 0.0},
                                    {"top_p", 1.5},
                                    {"top_k", -1},
                                    {"repetition_penalty", 0.0},
                                    {"num_beams", 0},
                                    {"eos_token_id", 96},
                                    {"max_new_tokens", -1}}) {
    const Scratch scratch;
    const std::string model = changed(scratch, "llama-gqa-tied", Json::object(), {{"do_sample", true}, {name, value}});
    EXPECT_THAT(expect_one_line(run_dept({"generate", "--model_name_or_path", model}, "\"the\"\n"), 3),
                HasSubstr(str("generation_config.json: ", name, "]")));
  }
  const Scratch scratch;
  const std::string old = changed(scratch, "llama-gqa-tied", {{"num_return_sequences", 3}}, nullptr);
  EXPECT_THAT(expect_one_line(run_dept({"generate", "--model_name_or_path", old}, "\"the\"\n"), 3),
              HasSubstr("/config.json: num_return_sequences]"));
}

TEST(GenerationConfig, GivesWayToFlagsBeforeItIsLookedAt) {
  const Scratch scratch;
  const std::string model = changed(scratch, "llama-gqa-tied", Json::object(),
                                    {{"eos_token_id", 2}, {"do_sample", true}, {"temperature", 0}, {"top_p", 9}});
  const std::vector<std::string> with{"generate", "--model_name_or_path", model};
  std::vector<std::string> cooler = with;
  cooler.insert(cooler.end(), {"--temperature", "0.5", "--top_p", "0.9"});
  EXPECT_EQ(run_dept(cooler, "\"the\"\n").code, 0);
  std::vector<std::string> greedy = with;
  greedy.insert(greedy.end(), {"--do_sample", "false", "--temperature", "0.5"});
  const Outcome outcome = run_dept(greedy, "\"the\"\n");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("--temperature has no effect"));
}

TEST(GenerationConfig, WithoutAnEndSaysSo) {
  const Scratch scratch;
  const std::string model = changed(scratch, "llama-gqa-tied", Json::object(), {{"bos_token_id", 1}});
  EXPECT_THAT(
      run_dept({"generate", "--model_name_or_path", model}, "\"the\"\n").err,
      HasSubstr("names no eos_token_id: answers go on to max_new_tokens, as in transformers (--eos_token_id 2,30,31,57:"));
}

TEST(GenerationConfig, KeysWithoutEffectAreNamed) {
  const Scratch scratch;
  const std::string model = changed(scratch, "t5-v1.0", Json::object(),
                                    {{"eos_token_id", 1},
                                     {"decoder_start_token_id", 0},
                                     {"sequence_bias", 5},
                                     {"suppress_tokens", {7}},
                                     {"begin_suppress_tokens", Json::array()},
                                     {"bad_words_ids", {{8}}},
                                     {"typical_p", 0.5},
                                     {"max_length", 30}});
  EXPECT_THAT(run_dept({"generate", "--model_name_or_path", model}, "\"the\"\n").err,
              HasSubstr("no effect here: bad_words_ids, sequence_bias, suppress_tokens\n"));
}

/// 128 positions.
const std::string llama = (data() / "models/llama-gqa-tied").string();

std::string ids_line(int64_t count) {
  return joined({{{"input_ids", std::vector<int64_t>(count, 4)}}});
}

std::vector<std::string> generate_with(std::vector<std::string> flags) {
  flags.insert(flags.begin(), {"generate", "--model_name_or_path", llama});
  return flags;
}

TEST(Positions, EndAnAnswerThatNobodyAskedToBeLonger) {
  for (const std::vector<std::string>& flags : {std::vector<std::string>{}, {"--num_beams", "2"}}) {
    const Outcome outcome = run_dept(generate_with(flags), ids_line(120) + ids_line(3));
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    const std::vector<Json> lines = parsed(outcome.out);
    EXPECT_LE(lines[0]["ids"].size(), 8u);
    if (lines[0]["finish_reason"] == "length") {
      EXPECT_EQ(lines[0]["ids"].size(), 8u);
    }
    EXPECT_EQ(lines[1], parsed(run_dept(generate_with(flags), ids_line(3)).out).at(0)) << "a neighbour's room is its own";
  }
}

TEST(Positions, AreNotExceeded) {
  EXPECT_THAT(expect_one_line(run_dept(generate_with({}), ids_line(128)), 3), HasSubstr("line 1"));
  EXPECT_THAT(expect_one_line(run_dept(generate_with({"--max_new_tokens", "9"}), ids_line(120)), 3),
              HasSubstr("the model's 128 positions"));
  EXPECT_EQ(run_dept(generate_with({"--max_new_tokens", "8"}), ids_line(120)).code, 0);
  const Json score = {{"input_ids", std::vector<int64_t>(129, 4)}, {"labels", std::vector<int64_t>(129, 4)}};
  EXPECT_THAT(expect_one_line(run_dept({"score", "--model_name_or_path", llama}, score.dump() + "\n"), 3), HasSubstr("128"));
  const std::string with_prompt = (data() / "cli/adapter-llama-gqa-tied").string();  // 3 tokens, for sources of 20
  EXPECT_EQ(run_dept(generate_with({"--peft_model_id", with_prompt, "--max_new_tokens", "105"}), ids_line(20)).code, 0);
  EXPECT_THAT(
      expect_one_line(run_dept(generate_with({"--peft_model_id", with_prompt, "--max_new_tokens", "106"}), ids_line(20)), 3),
      HasSubstr("at most 19 tokens"));
}

TEST(Positions, TextsAreCutOnRequest) {
  std::string text = "the film is";
  for (int i = 0; i < 60; ++i) text += " a very bad answer";
  const std::string prompt = Json(text).dump() + "\n", pair = Json{{"source", text}, {"target", " no"}}.dump() + "\n",
                    whole = Json{{"text", text}}.dump() + "\n";
  EXPECT_THAT(expect_one_line(run_dept(generate_with({}), prompt), 3), HasSubstr("--truncate"));
  const Outcome cut = run_dept(generate_with({"--truncate", "--max_new_tokens", "5"}), prompt);
  ASSERT_EQ(cut.code, 0) << cut.err;
  EXPECT_THAT(cut.err, HasSubstr("1 of 1 text was cut"));

  const Outcome tokens = run_dept({"tokenize", "--model_name_or_path", llama, "--max_length", "123"}, prompt);
  const Json ids{{"input_ids", parsed(tokens.out).at(0)}};
  EXPECT_EQ(parsed(cut.out), parsed(run_dept(generate_with({"--max_new_tokens", "5"}), ids.dump() + "\n").out));

  for (const std::string& line : {pair, whole}) {
    EXPECT_THAT(expect_one_line(run_dept({"score", "--model_name_or_path", llama}, line), 3), HasSubstr("--truncate"));
    const Outcome scored = run_dept({"score", "--model_name_or_path", llama, "--truncate"}, line);
    ASSERT_EQ(scored.code, 0) << scored.err;
    EXPECT_THAT(scored.err, HasSubstr("1 of 1 text was cut"));
  }
  const std::string with_prompt = (data() / "cli/adapter-llama-gqa-tied").string();
  EXPECT_EQ(run_dept(generate_with({"--peft_model_id", with_prompt, "--truncate"}), prompt).code, 0) << "to its 20 rows";
}

}  // namespace test_generation_config
}  // namespace dept
