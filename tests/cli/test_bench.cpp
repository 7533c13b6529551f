// dept bench at the smallest size: that its figures are there and agree with each other.
#include <signal.h>

#include <sstream>

#include "cli/program.h"
#include "dept/base/json.h"

namespace dept {
namespace {

const std::string t5 = DEPT_TEST_DATA "/parity/data/models/t5-v1.0";
const std::vector<std::string> small = {"--m", "3",        "--r", "2",         "--batch", "2",      "--steps",
                                        "2",   "--warmup", "1",   "--threads", "1",       "--json", "--allow_busy"};

std::vector<Json> bench(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "bench");
  arguments.insert(arguments.end(), small.begin(), small.end());
  const Outcome outcome = run_dept(arguments);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  std::vector<Json> lines;
  std::istringstream out(outcome.out);
  for (std::string line; std::getline(out, line);) lines.push_back(parse_json(line, "bench"));
  return lines;
}

TEST(Bench, TrainsInEachLayout) {
  Scratch scratch;
  scratch.write("lengths", "4\n9\n5\n5\n");
  const std::vector<Json> runs = bench({"train", "--model_name_or_path", t5, "--lengths", (scratch / "lengths").string(),
                                        "--compare", "pad,pad-max", "--max_seq_length", "16"});
  ASSERT_EQ(runs.size(), 3U);
  for (const char* key :
       {"examples_per_s", "tokens_per_s", "step_median_s", "step_p95_s", "peak_rss_gb", "gemm_peak_gflops", "share_of_peak",
        "library_gemm_peak_gflops", "share_of_library_peak", "time_to_first_step_s", "activation_bytes_per_token"})
    for (const Json& run : runs) EXPECT_GT(run.at(key).get<double>(), 0) << key;
  const char* modes[] = {"ragged", "pad", "pad-max"};
  for (size_t i = 0; i < runs.size(); ++i) {
    EXPECT_EQ(runs[i].at("mode"), modes[i]);
    EXPECT_DOUBLE_EQ(runs[i].at("mean_len"), 5.75);  // batches behind the warm-up: 5 5, then 4 9 again
    EXPECT_EQ(runs[i].at("gflop_per_example"), runs[0].at("gflop_per_example"));
  }
  EXPECT_GT(runs[2].at("activation_bytes_per_token"), runs[0].at("activation_bytes_per_token"));
}

TEST(Bench, ReadsTexts) {
  Scratch scratch;
  scratch.write("texts", "ab\nabcd\n");
  scratch.write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nab\nabcd\n");
  const std::vector<Json> runs = bench({"train", "--model_name_or_path", DEPT_TEST_DATA "/parity/data/models/bert",
                                        "--tokenizer_name", (scratch / "").string(), "--text", (scratch / "texts").string()});
  ASSERT_EQ(runs.size(), 1U);
  EXPECT_EQ(runs[0].at("mean_len"), 3);
}

TEST(Bench, SavesAShapeAndLoadsIt) {
  Scratch scratch;
  const std::string folder = (scratch / "model").string();
  bench({"load", "--shape", "t5-small", "--layers", "1", "--save", folder});
  const std::vector<Json> runs = bench({"load", "--model_name_or_path", folder});
  ASSERT_EQ(runs.size(), 1U);
  const auto seconds = [&](const char* key) { return runs[0].at(key).get<double>(); };
  EXPECT_NEAR(seconds("time_to_first_step_s"),
              seconds("process_start_s") + seconds("map_s") + seconds("weights_s") + seconds("first_step_s"), 1e-3);
  EXPECT_EQ(run_dept({"model", "show", folder}).code, 0);
}

TEST(Bench, EvaluatesEveryKindOfModel) {
  for (const char* name : {"t5-v1.0", "llama-untied", "bert"}) {
    const std::vector<Json> runs =
        bench({"eval", "--lengths", "6", "--model_name_or_path", str(DEPT_TEST_DATA "/parity/data/models/", name)});
    ASSERT_EQ(runs.size(), 1U) << name;
    EXPECT_GT(runs[0].at("examples_per_s").get<double>(), 0) << name;
  }
}

TEST(Bench, RefusesABusyMachine) {
  const pid_t spins = ::fork();
  if (spins == 0)
    for (;;) ::getppid();
  const Outcome outcome = run_dept(
      {"bench", "train", "--model_name_or_path", t5, "--lengths", "6", "--steps", "1", "--warmup", "0", "--threads", "1"});
  ::kill(spins, SIGKILL);
  ::waitpid(spins, nullptr, 0);
  EXPECT_EQ(outcome.code, 5) << outcome.out;
  EXPECT_TRUE(outcome.out.empty());
  EXPECT_NE(outcome.err.find("--allow_busy"), std::string::npos) << outcome.err;
}

TEST(Bench, NamesWhatItNeeds) {
  EXPECT_EQ(run_dept({"bench", "run"}).code, 2);
  EXPECT_EQ(run_dept({"bench", "train"}).code, 2);
  EXPECT_EQ(run_dept({"bench", "load", "--shape", "t5-small"}).code, 2);
  EXPECT_EQ(run_dept({"bench", "train", "--shape", "t5-small", "--lengths", "nowhere"}).code, 4);
}

}  // namespace
}  // namespace dept
