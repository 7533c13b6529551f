// dept generate and dept score against transformers, for the tiny models with and without adapter.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "cli/program.h"
#include "dept/base/json.h"

namespace dept {
namespace {

using testing::HasSubstr;

std::string data(const std::string& name) {
  return (fs::path(DEPT_TEST_DATA) / "parity/data" / name).string();
}

std::string joined(const Json& lines) {
  std::string text;
  for (const Json& line : lines) text += line.dump() + "\n";
  return text;
}

std::vector<Json> parsed(const std::string& lines) {
  std::vector<Json> out;
  for (size_t begin = 0, end; (end = lines.find('\n', begin)) != std::string::npos; begin = end + 1) {
    out.push_back(parse_json(std::string_view(lines).substr(begin, end - begin), "stdout"));
  }
  return out;
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
  EXPECT_THAT(refused(llama, "{}\n"), HasSubstr("prompt or input_ids"));
  EXPECT_THAT(refused(llama, "{\"prompt\": \"a\", \"input_ids\": [4]}\n"), HasSubstr("prompt or input_ids"));
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

}  // namespace
}  // namespace dept
