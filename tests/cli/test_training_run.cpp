// dept train from outside: what a run leaves, how it stops and goes on, which flags are answered and how.
#include <gmock/gmock.h>
#include <signal.h>

#include <algorithm>

#include "cli/program.h"
#include "cli/tiny_training.h"
#include "dept/base/json.h"
#include "dept/base/text.h"

namespace dept {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Words = std::vector<std::string>;

class TrainingRun : public ::testing::Test {
 protected:
  TrainingRun() { put_tiny_model(model_); }
  Words command(const Words& more, const fs::path& out) const {
    Words flags = typed(
        "train --do_train --do_eval --do_predict --predict_by score --labels no yes --prefix_length 3 --r 2 --max_seq_length 48"
        " --learning_rate 0.1 --threads 1 --per_device_train_batch_size 4 --max_steps 12 --logging_steps 3 --eval_strategy steps"
        " --save_steps 6 --eval_steps 3 --load_best_model_at_end",
        {"--causal_suffix", " :"});
    for (const char* split : {"train", "validation", "test"})
      flags.insert(flags.end(), {str("--", split, "_file"), (data_ / "recipe/tiny" / str(split, ".csv")).string()});
    flags.insert(flags.end(), {"--model_name_or_path", model_.string(), "--output_dir", out.string()});
    flags.insert(flags.end(), more.begin(), more.end());
    return flags;
  }
  Outcome train(const Words& more) const { return run_dept(command(more, out_)); }

  const fs::path data_ = DEPT_TEST_DATA;
  Scratch scratch_;
  const fs::path model_ = scratch_ / "model", out_ = scratch_ / "out";
};

TEST_F(TrainingRun, LeavesWhatTheOriginalLeaves) {
  const Outcome run = train({});
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_THAT(run.err, HasSubstr("training will end in about"));
  for (const char* name :
       {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json", "checkpoint-12", "trainer_state.json",
        "train_results.json", "eval_results.json", "test_results.json", "all_results.json", "generated_predictions.jsonl",
        "evaluation.json", "report.html", "output.log", "README.md", "run.json"})
    EXPECT_TRUE(fs::exists(out_ / name)) << name;
  EXPECT_THAT(fs::directory_iterator(out_ / "runs")->path().filename().string(), HasSubstr("events.out.tfevents."));

  const Json state = read_json(out_ / "trainer_state.json");
  for (const char* key :
       {"best_metric", "best_model_checkpoint", "epoch", "global_step", "is_hyper_param_search", "is_local_process_zero",
        "is_world_process_zero", "log_history", "max_steps", "num_train_epochs", "total_flos", "trial_name", "trial_params"})
    EXPECT_TRUE(state.contains(key)) << key;
  EXPECT_EQ(state.size(), 13u) << "transformers refuses others";
  EXPECT_EQ(state["num_train_epochs"], 1) << "12 steps of 4 in 60 examples";

  const Json all = Json::parse(run.out);
  EXPECT_EQ(all, read_json(out_ / "all_results.json"));
  for (const char* key : {"epoch", "train_loss", "train_samples", "eval_accuracy", "eval_samples", "test_f1", "test_runtime"})
    EXPECT_TRUE(all.contains(key)) << key;
  EXPECT_EQ(read_json(out_ / "eval_results.json")["epoch"], all["epoch"]);
  const std::string card = read_file(out_ / "README.md");
  for (const char* part : {"base_model: ", "| learning_rate | 0.1 |", "| loss | epoch | step | eval_loss |"})
    EXPECT_THAT(card, HasSubstr(part));
  const std::string lines = read_file(out_ / "generated_predictions.jsonl");
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 20);
}

TEST_F(TrainingRun, SaysHowItDidByClass) {
  const Outcome run = train({});
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_THAT(run.err, HasSubstr("train: 60 examples (no "));
  EXPECT_THAT(run.err, HasSubstr("train: 0 of 60 texts are longer than max_seq_length 48 and cut\n"));
  EXPECT_THAT(run.err, HasSubstr("class precision    recall        f1   support\nno "));

  const Json detail = read_json(out_ / "evaluation.json"), all = Json::parse(run.out);
  EXPECT_EQ(detail.at("split"), "test");
  EXPECT_EQ(detail.at("examples"), 20);
  EXPECT_NEAR(detail.at("accuracy").get<double>() * 100, all.at("test_accuracy").get<double>(), 1e-9);
  EXPECT_NEAR(detail.at("classes").at("yes").at("f1").get<double>() * 100, all.at("test_f1").get<double>(), 1e-9);
  EXPECT_EQ(detail.at("calibration").at("bins").size(), 10u);

  const std::string lines = read_file(out_ / "generated_predictions.jsonl");
  const Json first = Json::parse(lines.substr(0, lines.find('\n')));
  EXPECT_EQ(first.at("source"), "A warm score.");
  EXPECT_NEAR(first.at("scores").at("no").get<double>() + first.at("scores").at("yes").get<double>(), 1, 1e-9);

  const std::string output = (scratch_ / "evaluated/metrics.json").string();
  fs::create_directory(scratch_ / "evaluated");
  const Words eval = {
      "eval", "--peft_model_id", out_.string(), "--test_file", (data_ / "recipe/tiny/test.csv").string(), "--threads",
      "1",    "--output"};
  const auto evaluated = [&](const std::string& path) {
    Words words = eval;
    words.push_back(path);
    return run_dept(words);
  };
  ASSERT_EQ(evaluated(output).code, 0);
  EXPECT_EQ(read_json(scratch_ / "evaluated/evaluation.json"), detail);
  EXPECT_THAT(expect_one_line(evaluated((scratch_ / "evaluated/evaluation.json").string()), 2), HasSubstr("another name"));
  EXPECT_EQ(evaluated("/dev/null").code, 0);
  EXPECT_FALSE(fs::exists("/dev/evaluation.json"));
}

TEST_F(TrainingRun, LeavesAPageThatReportWritesAgain) {
  ASSERT_EQ(train({}).code, 0);
  const std::string page = read_file(out_ / "report.html");
  EXPECT_THAT(page, HasSubstr("<!DOCTYPE html>"));
  const std::string command = read_json(out_ / "run.json").at("command").get<std::string>();
  EXPECT_EQ(command.rfind("dept train --do_train --do_eval", 0), 0u);
  EXPECT_THAT(command, HasSubstr("--causal_suffix ' :'"));
  EXPECT_EQ(read_json(out_ / "report.json").at("prompt").size(), 3u);
  EXPECT_EQ(read_json(out_ / "report.json").at("delta_norms").size(), 48u);

  const std::string other = (scratch_ / "page.html").string();
  ASSERT_EQ(run_dept({"report", out_.string(), "--output", other}).code, 0);
  EXPECT_EQ(read_file(other), page);
  fs::remove(out_ / "report.html");
  ASSERT_EQ(run_dept({"report", out_.string()}).code, 0);
  EXPECT_EQ(read_file(out_ / "report.html"), page);
  EXPECT_THAT(expect_one_line(run_dept({"report", out_.string(), out_.string()}), 2), HasSubstr("--output"));
  EXPECT_THAT(expect_one_line(run_dept({"report"}), 2), HasSubstr("the folder of a run"));
  EXPECT_THAT(expect_one_line(run_dept({"report", (scratch_ / "no").string()}), 4), HasSubstr("no folder"));
  EXPECT_THAT(expect_one_line(run_dept({"report", scratch_.path().string()}), 3), HasSubstr("run.json"));
}

TEST_F(TrainingRun, LeavesNoPageWhenToldSo) {
  ASSERT_EQ(train({"--report", "false"}).code, 0);
  EXPECT_FALSE(fs::exists(out_ / "report.html"));
  EXPECT_FALSE(fs::exists(out_ / "report.json"));
}

TEST_F(TrainingRun, OneInterruptFinishesTheStepAndSaves) {
  const Words flags = {"--max_steps", "20000", "--eval_strategy", "no", "--load_best_model_at_end", "false"};
  Child child(command(flags, out_));
  for (int i = 0; i < 300 && !fs::exists(out_ / "checkpoint-6"); ++i) ::usleep(100'000);
  ::kill(child.pid(), SIGINT);
  const Outcome stopped = child.wait();
  EXPECT_EQ(stopped.code, 130);
  EXPECT_THAT(stopped.err, HasSubstr("interrupted: saved at step "));
  EXPECT_FALSE(fs::exists(out_ / "adapter_model.safetensors"));
}

TEST_F(TrainingRun, GoesOnFromACheckpointByName) {
  ASSERT_EQ(train({"--load_best_model_at_end", "false"}).code, 0);
  const fs::path other = scratch_ / "other";
  const Outcome moved = run_dept(
      command({"--resume_from_checkpoint", (out_ / "checkpoint-6").string(), "--load_best_model_at_end", "false"}, other));
  ASSERT_EQ(moved.code, 0) << moved.err;
  EXPECT_THAT(moved.err, HasSubstr("going on from "));
  EXPECT_EQ(read_file(other / "generated_predictions.jsonl"), read_file(out_ / "generated_predictions.jsonl"));
  const std::string line = expect_one_line(
      run_dept(command({"--resume_from_checkpoint", "nowhere", "--train_file", "nofile.csv"}, scratch_ / "third")), 4);
  EXPECT_THAT(line, HasSubstr("nowhere"));
  EXPECT_THAT(line, HasSubstr("nofile.csv"));
}

TEST_F(TrainingRun, StopsEarlyAndSaysSo) {
  const Outcome run =
      train({"--early_stopping_patience", "1", "--early_stopping_threshold", "1000", "--max_steps", "60", "--save_steps", "3"});
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_THAT(run.err, HasSubstr("stopping early at step 6"));
  EXPECT_EQ(read_json(out_ / "trainer_state.json")["global_step"], 6);
}

TEST_F(TrainingRun, NoTensorBoardAndNoProgressWhenToldSo) {
  const Outcome run = train({"--report_to", "none", "--disable_tqdm", "true"});
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_FALSE(fs::exists(out_ / "runs"));
  EXPECT_THAT(run.err, Not(HasSubstr("it/s")));
}

TEST_F(TrainingRun, APartOfTheAdapter) {
  ASSERT_EQ(train({"--save_lora_embeddings", "false", "--save_safetensors", "false"}).code, 0);
  const Outcome shown = run_dept({"model", "show", "--tensors", out_.string()});
  EXPECT_THAT(shown.out, HasSubstr("prompt_embeddings"));
  EXPECT_THAT(shown.out, Not(HasSubstr("lora_embedding_A")));
}

TEST_F(TrainingRun, FlagsWithoutEffectGetALineEach) {
  const Outcome run = train({"--fp16_backend", "auto", "--dataloader_num_workers", "4", "--ddp_timeout", "1800"});
  ASSERT_EQ(run.code, 0) << run.err;
  for (const char* name : {"fp16_backend", "dataloader_num_workers", "ddp_timeout"})
    EXPECT_THAT(run.err, HasSubstr(str("--", name, " has no effect: ")));
  EXPECT_THAT(expect_one_line(run_dept(command({"--push_to_hub"}, scratch_ / "b")), 2), HasSubstr("nothing is uploaded"));
  EXPECT_THAT(expect_one_line(run_dept(command({"--early_stoping_patience", "1"}, scratch_ / "b")), 2),
              HasSubstr("nearest is --early_stopping_patience"));
}

}  // namespace
}  // namespace dept
