#include <gmock/gmock.h>

#include "cli/program.h"
#include "dept/base/json.h"

namespace dept {
namespace {

using ::testing::HasSubstr;

size_t line_count(const std::string& text) {
  return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
}

TEST(Data, ListsTheTasks) {
  const Outcome plain = run_dept({"data", "list"});
  EXPECT_EQ(plain.code, 0) << plain.err;
  EXPECT_EQ(line_count(plain.out), 36u);
  const Outcome json = run_dept({"data", "list", "--json"});
  EXPECT_EQ(line_count(json.out), 36u);
  const Json first = Json::parse(json.out.substr(0, json.out.find('\n')));
  EXPECT_EQ(first["name"], "squad");
  EXPECT_EQ(first["repository"], "rajpurkar/squad");
}

TEST(Data, ShowsExamples) {
  Scratch scratch;
  const std::string file = scratch.write("a.csv", "sentence,label\none,0\n\"two, \"\"2\"\"\",1\nthree,0\n").string();
  const Outcome all = run_dept({"data", "show", "sst2", "--train_file", file, "--json"});
  EXPECT_EQ(all.code, 0) << all.err;
  EXPECT_EQ(all.out,
            "{\"index\":0,\"source\":\"sentence: one\",\"target\":\"0\"}\n"
            "{\"index\":1,\"source\":\"sentence: two, \\\"2\\\"\",\"target\":\"1\"}\n"
            "{\"index\":2,\"source\":\"sentence: three\",\"target\":\"0\"}\n");
  const Outcome some = run_dept({"data", "show", "sst2", "--test_file", file, "--split", "test", "--limit", "1", "--add_prefix"});
  EXPECT_EQ(some.out, "{\"index\":0,\"source\":\"sst2 sentence: one\",\"target\":\"0\"}\n");
  const Outcome drawn = run_dept({"data", "show", "sst2", "--train_file", file, "--k_shot_examples", "2", "--seed", "1"});
  EXPECT_EQ(line_count(drawn.out), 2u);
  const Outcome halved =
      run_dept({"data", "show", "cola", "--validation_file", file, "--split", "validation", "--original_quirks"});
  EXPECT_EQ(line_count(halved.out), 1u);
}

TEST(Data, TheExampleOfTheDocs) {
  const std::string docs = read_file(DEPT_TEST_DATA "/../docs/tasks.md");
  const auto between = [&](std::string_view begin, std::string_view end) {
    const size_t from = docs.find(begin) + begin.size();
    return docs.substr(from, docs.find(end, from) - from);
  };
  Scratch scratch;
  const std::string yaml = scratch.write("airline.yaml", between("```yaml\n", "```")).string();
  const std::string rows = scratch.write("tweets.jsonl", between("for a line `", "` shows") + "\n").string();
  const Outcome shown = run_dept({"data", "show", "airline", "--task_file", yaml, "--train_file", rows});
  EXPECT_EQ(shown.code, 0) << shown.err;
  EXPECT_EQ(shown.out, between("` shows\n\n    ", "\n") + "\n");
}

TEST(Data, ScoresLines) {
  const Outcome squad =
      run_dept({"data", "score", "squad"},
               "{\"prediction\": \"the Cat\", \"target\": \"cat.\"}\n{\"prediction\": \"a b\", \"target\": [\"x\", \"b c\"]}\n");
  EXPECT_EQ(squad.code, 0) << squad.err;
  const Json metrics = Json::parse(squad.out);
  EXPECT_EQ(metrics["em"], 50);
  EXPECT_NEAR(metrics["f1"], 100 * (1 + 2.0 / 3) / 2, 1e-9);
  EXPECT_EQ(run_dept({"data", "score", "superglue-multirc"}, "{\"prediction\": \"1\", \"target\": \"1\"}\n").out,
            "{\"f1\":100.0}\n");
  const Outcome grouped = run_dept({"data", "score", "superglue-multirc"},
                                   "{\"prediction\": \"1\", \"target\": \"1\", \"group\": 0}\n"
                                   "{\"prediction\": \"1\", \"target\": \"0\", \"group\": 1}\n");
  EXPECT_NEAR(Json::parse(grouped.out)["f1"], 200.0 / 3, 1e-9);
  EXPECT_EQ(Json::parse(grouped.out)["em"], 50);
}

TEST(Data, BadInputEndsInOneLine) {
  Scratch scratch;
  const std::string bad = scratch.write("a.csv", "sentence,label\none,0\ntwo,9\n").string();
  EXPECT_THAT(expect_one_line(run_dept({"data", "show", "sst2", "--train_file", bad}), 3), HasSubstr("a.csv:3"));
  EXPECT_THAT(expect_one_line(run_dept({"data", "show", "sst22"}), 2), HasSubstr("nearest is sst2"));
  EXPECT_THAT(expect_one_line(run_dept({"data", "show"}), 2), HasSubstr("nothing"));
  expect_one_line(run_dept({"data", "show", "sst2", "--train_file", "nowhere.csv"}), 4);
  expect_one_line(run_dept({"data", "show", "sst2", "--split", "dev"}), 2);
  expect_one_line(run_dept({"data"}), 2);
  expect_one_line(run_dept({"data", "score", "sst2"}, ""), 3);
  EXPECT_THAT(expect_one_line(run_dept({"data", "score", "sst2"}, "{\"prediction\": \"1\"}\n"), 3), HasSubstr("line 1"));
  EXPECT_THAT(expect_one_line(run_dept({"data", "score", "sst2"}, "{\"prediction\": \"1\", \"target\": []}\n"), 3),
              HasSubstr("answer"));
  const std::string yaml = scratch.write("t.yaml", "a: {source: x, target: y}\n").string();
  EXPECT_THAT(expect_one_line(run_dept({"data", "list", "--task_file", yaml}), 3), HasSubstr("metrics"));
}

}  // namespace
}  // namespace dept
