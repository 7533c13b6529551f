// dept generate and dept score against transformers, for the tiny models with and without adapter.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>

#include "cli/lines_of.h"
#include "cli/program.h"
#include "dept/base/json.h"

namespace dept {
namespace test_generate_score {

using testing::HasSubstr;

std::string data(const std::string& name) {
  return (fs::path(DEPT_TEST_DATA) / "parity/data" / name).string();
}

void expect_near(const Json& actual, const Json& expected, const std::string& what) {
  if (!expected.is_number()) {
    EXPECT_EQ(actual, expected) << what;
  } else {
    EXPECT_NEAR(actual.get<double>(), expected.get<double>(), 1e-4 * std::abs(expected.get<double>())) << what;
  }
}

void expect_line(const Json& actual, const Json& expected, const std::string& what) {
  ASSERT_EQ(actual.size(), expected.size()) << what;
  for (const auto& [key, value] : expected.items()) {
    ASSERT_TRUE(actual.contains(key)) << what;
    if (key != "nll") {
      expect_near(actual[key], value, what + ": " + key);
      continue;
    }
    ASSERT_EQ(actual[key].size(), value.size()) << what;
    for (size_t i = 0; i < value.size(); ++i) expect_near(actual[key][i], value[i], what + ": nll");
  }
}

class Lines : public testing::TestWithParam<std::string> {};

TEST_P(Lines, EqualTransformers) {
  const Json cases = read_json(data("cli/" + GetParam() + ".json"));
  for (const char* kind : {"plain", "adapter"}) {
    for (const Json& one : cases[kind]) {
      const auto flags = one["flags"].get<std::vector<std::string>>();
      std::vector<std::string> arguments{one["command"], "--model_name_or_path", data("models/" + GetParam()), "--batch_size",
                                         "3"};
      arguments.insert(arguments.end(), flags.begin(), flags.end());
      if (kind == std::string("adapter"))
        arguments.insert(arguments.end(), {"--peft_model_id", data("cli/adapter-" + GetParam())});
      const Outcome outcome = run_dept(arguments, joined(one["input"]));
      ASSERT_EQ(outcome.code, 0) << outcome.err;
      const std::vector<Json> lines = parsed(outcome.out);
      ASSERT_EQ(lines.size(), one["output"].size());
      for (size_t i = 0; i < lines.size(); ++i) {
        expect_line(lines[i], one["output"][i], str(kind, " ", one["command"], " ", one["flags"].dump(), " line ", i + 1));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Tiny, Lines, testing::Values("llama-gqa-tied", "t5-v1.0"),
                         [](const auto& test) { return test.param == "t5-v1.0" ? "t5" : "llama"; });

const std::string llama = data("models/llama-gqa-tied"), t5 = data("models/t5-v1.0");

Json first_case() {
  return read_json(data("cli/llama-gqa-tied.json"))["plain"][0];
}

TEST(Generate, StopTextEndsAnAnswerAndIsCut) {
  const Json one = first_case();
  const std::string whole = one["output"][0]["text"], stop = whole.substr(3, 2);
  const Outcome outcome = run_dept({"generate", "--model_name_or_path", llama, "--stop=" + stop}, joined({one["input"][0]}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const Json line = parsed(outcome.out).at(0);
  EXPECT_EQ(line["text"], whole.substr(0, whole.find(stop)));
  EXPECT_EQ(line["finish_reason"], "stop");
  EXPECT_LT(line["ids"].size(), one["output"][0]["ids"].size());
}

TEST(Generate, FirstOfSeveralStopTextsCuts) {
  const Json one = first_case();
  const std::string whole = one["output"][0]["text"];
  const Json stops = {whole.substr(7, 2), whole.substr(4, 2), "never said"};
  const Outcome outcome =
      run_dept({"generate", "--model_name_or_path", llama, "--stop=" + stops.dump()}, joined({one["input"][0]}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const std::string text = parsed(outcome.out).at(0)["text"];
  EXPECT_EQ(text, whole.substr(0, std::min(whole.find(stops[0]), whole.find(stops[1]))));
  EXPECT_LT(text.size(), whole.size());
}

TEST(Generate, SamplesDoNotDependOnTheBatch) {
  const std::string lines = joined(first_case()["input"]);
  const auto sampled = [&](const std::string& batch_size, const std::string& seed) {
    return run_dept({"generate", "--model_name_or_path", llama, "--do_sample", "--temperature", "2", "--top_p", "0.9",
                     "--num_return_sequences", "3", "--seed", seed, "--batch_size", batch_size},
                    lines)
        .out;
  };
  const std::string together = sampled("8", "1");
  EXPECT_EQ(parsed(together).at(0)["choices"].size(), 3u);
  EXPECT_EQ(sampled("1", "1"), together);
  EXPECT_EQ(sampled("3", "1"), together);
  EXPECT_NE(sampled("8", "2"), together);
}

TEST(Generate, AnswersTheSameInBatchesOfItsOwn) {
  const Json inputs = first_case()["input"];
  std::vector<Json> many;
  for (size_t i = 0; i < 150; ++i) many.push_back(inputs[i % inputs.size()]);  // with 60 tokens each more than one full batch
  std::vector<std::string> arguments{"generate", "--model_name_or_path", llama, "--max_new_tokens", "60"};
  const Outcome joined_batches = run_dept(arguments, joined(many));
  ASSERT_EQ(joined_batches.code, 0) << joined_batches.err;
  EXPECT_EQ(parsed(joined_batches.out).size(), many.size());
  arguments.insert(arguments.end(), {"--batch_size", "7"});
  EXPECT_EQ(run_dept(arguments, joined(many)).out, joined_batches.out);
}

/// Of make/dept_on_models.py.
const std::string decoder_prompt = data("adapter/t5-v1.0.decoder-prompt");

TEST(DecodersPrompt, GeneratesAndScoresAsTransformers) {
  const Json golden = read_json(decoder_prompt + ".dept.json");
  std::vector<Json> sources, pairs;
  for (const Json& example : golden["batches"][0]) {
    sources.push_back({{"input_ids", example["source"]}});
    pairs.push_back({{"input_ids", example["source"]}, {"labels", example["target"]}});
  }
  const std::vector<std::string> with{"--model_name_or_path", t5, "--peft_model_id", decoder_prompt};
  const auto lines = [&](std::vector<std::string> arguments, const std::vector<Json>& input) {
    arguments.insert(arguments.end(), with.begin(), with.end());
    const Outcome outcome = run_dept(arguments, joined(input));
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return parsed(outcome.out);
  };
  const std::vector<Json> answers = lines({"generate", "--max_new_tokens", "8"}, sources), scores = lines({"score"}, pairs);
  ASSERT_EQ(answers.size(), sources.size());
  ASSERT_EQ(scores.size(), sources.size());
  double nll = 0, tokens = 0;
  for (size_t i = 0; i < sources.size(); ++i) {
    EXPECT_EQ(answers[i]["ids"], golden["greedy"][i]) << i;
    for (const double one : scores[i]["nll"].get<std::vector<double>>()) nll += one;
    tokens += scores[i]["tokens"].get<double>();
  }
  expect_near(nll / tokens, golden["losses"]["fp32"]["loss"], "loss");
}

TEST(DecodersPrompt, IsForEncoderDecodersAlone) {
  const Outcome outcome =
      run_dept({"score", "--model_name_or_path", llama, "--peft_model_id", decoder_prompt}, "{\"text\": \"the\"}\n");
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.err, HasSubstr("task_type"));
}

/// A copy of the tiny Llama with another generation_config.json.
std::string llama_with(const Scratch& scratch, const Json& generation_config) {
  for (const char* name : {"config.json", "model.safetensors", "tokenizer.json"})
    fs::copy(fs::path(llama) / name, scratch / name);
  scratch.write("generation_config.json", generation_config.dump());
  return scratch.path().string();
}

TEST(Generate, DefaultsComeFromTheModelAndFlagsWin) {
  const Scratch scratch;
  const std::string model = llama_with(scratch, {{"eos_token_id", {2, 30, 31, 57}},
                                                 {"num_beams", 3},
                                                 {"length_penalty", 0.5},
                                                 {"early_stopping", "never"},
                                                 {"num_return_sequences", 2},
                                                 {"max_new_tokens", 7},
                                                 {"top_k", nullptr},
                                                 {"transformers_version", "5"}});
  const std::string lines = joined(first_case()["input"]);
  const Outcome by_file = run_dept({"generate", "--model_name_or_path", model}, lines);
  const Outcome by_flags = run_dept({"generate", "--model_name_or_path", llama, "--num_beams", "3", "--length_penalty", "0.5",
                                     "--early_stopping", "never", "--num_return_sequences", "2", "--max_new_tokens", "7"},
                                    lines);
  EXPECT_EQ(by_file.out, by_flags.out);
  EXPECT_EQ(by_file.err.find("no effect"), std::string::npos) << by_file.err;
  const Outcome greedy = run_dept(
      {"generate", "--model_name_or_path", model, "--num_beams", "1", "--num_return_sequences", "1", "--max_new_tokens", "20"},
      lines);
  EXPECT_EQ(greedy.out, run_dept({"generate", "--model_name_or_path", llama}, lines).out);
}

TEST(Generate, WarnsOfWhatItDoesNotDo) {
  const Scratch scratch;
  const std::string model =
      llama_with(scratch, {{"eos_token_id", 2}, {"num_beam_groups", 2}, {"diversity_penalty", 0.0}, {"min_p", 0.1}});
  const std::vector<std::string> greedy{"generate", "--model_name_or_path", model, "--max_new_tokens", "1"};
  const Outcome outcome = run_dept(greedy, "\"the\"\n");
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.err, HasSubstr("no effect here: num_beam_groups\n")) << "min_p has none where nothing is drawn";
  std::vector<std::string> drawn = greedy;
  drawn.emplace_back("--do_sample");
  EXPECT_THAT(run_dept(drawn, "\"the\"\n").err, HasSubstr("no effect here: num_beam_groups, min_p\n"));
}

TEST(Generate, RefusesABrokenGenerationConfig) {
  for (const Json& broken :
       {Json{{"num_beams", "two"}}, Json{{"num_beams", 2}, {"early_stopping", 3}}, Json{{"temperature", 0}}, Json::array()}) {
    const Scratch scratch;
    const Outcome outcome =
        run_dept({"generate", "--model_name_or_path", llama_with(scratch, broken), "--do_sample"}, "\"the\"\n");
    EXPECT_THAT(expect_one_line(outcome, 3), HasSubstr("generation_config.json"));
  }
}

/// What a terminal shows of one prompt: the text as it comes, not a JSON line.
TEST(Generate, ShowsTextOnATerminal) {
  const Json one = first_case();
  const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY);
  ASSERT_GE(terminal, 0);
  ASSERT_EQ(::grantpt(terminal), 0);
  ASSERT_EQ(::unlockpt(terminal), 0);
  Child child({"generate", "--model_name_or_path", llama}, joined({one["input"][0]}), ::ptsname(terminal));
  const Outcome outcome = child.wait();
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  char shown[4096];
  const ssize_t count = ::read(terminal, shown, sizeof shown);
  ::close(terminal);
  ASSERT_GT(count, 0);
  EXPECT_EQ(std::string(shown, count), one["output"][0]["text"].get<std::string>() + "\r\n");
}

TEST(Generate, FilesInAndOut) {
  const Json one = first_case();
  const Scratch scratch;
  const std::string input = scratch.write("in.jsonl", joined(one["input"])).string(), output = (scratch / "out.jsonl").string();
  const Outcome outcome = run_dept({"generate", "--model_name_or_path", llama, "--input", input, "--output", output});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  const std::vector<Json> lines = parsed(read_file(output));
  ASSERT_EQ(lines.size(), one["output"].size());
  for (size_t i = 0; i < lines.size(); ++i) EXPECT_EQ(lines[i], one["output"][i]);
}

TEST(Generate, IdsNeedNoTokenizer) {
  const Outcome outcome = run_dept({"generate", "--model_name_or_path", data("models/llama-untied"), "--max_new_tokens", "2"},
                                   "{\"input_ids\": [5, 6]}\n");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const Json line = parsed(outcome.out).at(0);
  EXPECT_TRUE(line["text"].is_null());
  EXPECT_GE(line["ids"].size(), 1u);
}

TEST(Generate, RefusesBadLinesByNumber) {
  const auto refused = [](const std::string& model, const std::string& line) {
    return expect_one_line(run_dept({"generate", "--model_name_or_path", model}, line), 3);
  };
  EXPECT_THAT(refused(llama, "{\"prompt\": \n"), HasSubstr("line 1"));
  EXPECT_THAT(refused(llama, "\n"), HasSubstr("line 1"));
  EXPECT_THAT(refused(llama, "\"a\xff\"\n"), HasSubstr("line 1"));
  EXPECT_THAT(refused(llama, "{\"prompt\": 3}\n"), HasSubstr("prompt"));
  EXPECT_THAT(refused(llama, "{}\n"), HasSubstr("prompt, messages or input_ids"));
  EXPECT_THAT(refused(llama, "{\"prompt\": \"a\", \"input_ids\": [4]}\n"), HasSubstr("prompt, messages or input_ids"));
  EXPECT_THAT(refused(llama, "{\"input_ids\": [4, 96]}\n"), HasSubstr("received 96"));
  EXPECT_THAT(refused(llama, "{\"input_ids\": [-100]}\n"), HasSubstr("received -100"));
  EXPECT_THAT(refused(llama, "{\"input_ids\": []}\n"), HasSubstr("at least one token"));
  EXPECT_THAT(refused(data("models/llama-untied"), "\"the\"\n"), HasSubstr("no tokenizer"));
}

TEST(Generate, KeepsAnswersBeforeABadLine) {
  const Outcome outcome = run_dept({"generate", "--model_name_or_path", llama}, "\"the\"\n{}\n");
  EXPECT_EQ(outcome.code, 3);
  EXPECT_EQ(parsed(outcome.out).size(), 1u);
  EXPECT_THAT(outcome.err, HasSubstr("line 2"));
}

TEST(Generate, RefusesSourcesLongerThanTheAdapter) {
  const std::string ids = "{\"input_ids\": [4,4,4,4,4,4,4,4,4,4,4,4,4,4,4,4,4,4,4,4,4]}\n";
  const Outcome outcome =
      run_dept({"generate", "--model_name_or_path", llama, "--peft_model_id", data("cli/adapter-llama-gqa-tied")}, ids);
  EXPECT_THAT(expect_one_line(outcome, 3), HasSubstr("at most 20 source tokens"));
}

TEST(Generate, RefusesBadFlags) {
  EXPECT_THAT(expect_one_line(run_dept({"generate"}, "\"a\"\n"), 2), HasSubstr("model_name_or_path"));
  EXPECT_THAT(expect_one_line(run_dept({"generate", "--model_name_or_path", llama, "--eos_token_id", "x"}, "\"a\"\n"), 2),
              HasSubstr("eos"));
  EXPECT_THAT(expect_one_line(run_dept({"generate", "--model_name_or_path", llama, "--eos_token_id", "96"}, "\"a\"\n"), 2),
              HasSubstr("95"));
  const auto refused = [](const std::vector<std::string>& flags) {
    std::vector<std::string> arguments{"generate", "--model_name_or_path", llama};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    return expect_one_line(run_dept(arguments, "\"a\"\n"), 2);
  };
  EXPECT_THAT(refused({"--num_return_sequences", "2"}), HasSubstr("num_return_sequences"));
  EXPECT_THAT(refused({"--num_beams", "2", "--num_return_sequences", "3"}), HasSubstr("num_return_sequences"));
  EXPECT_THAT(refused({"--num_beams", "90"}), HasSubstr("num_beams"));
  EXPECT_THAT(refused({"--early_stopping", "maybe"}), HasSubstr("never"));
  EXPECT_THAT(refused({"--stop", ""}), HasSubstr("--stop"));
  EXPECT_THAT(expect_one_line(run_dept({"generate", "--model_name_or_path", llama + "x"}, "\"a\"\n"), 4), HasSubstr("not there"));
  EXPECT_EQ(run_dept({"generate", "--model_name_or_path", llama, "--input", llama + "/none"}).code, 4);
}

TEST(Score, RefusesBadLines) {
  const auto refused = [](const std::string& model, const std::string& line) {
    return expect_one_line(run_dept({"score", "--model_name_or_path", model}, line), 3);
  };
  EXPECT_THAT(refused(llama, "\"the\"\n"), HasSubstr("source and target"));
  EXPECT_THAT(refused(llama, "{\"source\": \"a\"}\n"), HasSubstr("target"));
  EXPECT_THAT(refused(llama, "{\"input_ids\": [4, 5], \"labels\": [4]}\n"), HasSubstr("as many as input_ids"));
  EXPECT_THAT(refused(llama, "{\"input_ids\": [4, 5], \"labels\": [4, -1]}\n"), HasSubstr("received -1"));
  EXPECT_THAT(refused(t5, "{\"text\": \"the\"}\n"), HasSubstr("encoder-decoder"));
  EXPECT_THAT(refused(t5, "{\"input_ids\": [4], \"labels\": []}\n"), HasSubstr("at least one"));
}

}  // namespace test_generate_score
}  // namespace dept
