// Named tasks through dept train, eval and predict: the original's command, rows in the hub's columns, few shots.
#include <gmock/gmock.h>

#include <algorithm>

#include "cli/program.h"
#include "cli/tiny_training.h"
#include "dept/base/json.h"
#include "dept/base/text.h"
#include "original_command.h"

namespace dept {
namespace {

using ::testing::HasSubstr;
using Words = std::vector<std::string>;

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
  return text;
}

struct Columns {
  const char* task;
  Words texts;
  Words labels;
};

const std::vector<Columns>& seed_tasks() {
  static const std::vector<Columns> tasks = {{"cola", {"sentence"}, {"0", "1"}},
                                             {"mrpc", {"sentence1", "sentence2"}, {"0", "1"}},
                                             {"mnli", {"premise", "hypothesis"}, {"0", "1", "2"}},
                                             {"qnli", {"question", "sentence"}, {"0", "1"}},
                                             {"qqp", {"question1", "question2"}, {"0", "1"}},
                                             {"rte", {"sentence1", "sentence2"}, {"0", "1"}},
                                             {"sst2", {"sentence"}, {"0", "1"}},
                                             {"stsb", {"sentence1", "sentence2"}, {"0.0", "1.25", "5.0"}}};
  return tasks;
}

class NamedTask : public ::testing::Test {
 protected:
  // A tiny T5 whose tokenizer knows the digits that labels are.
  NamedTask() {
    fs::copy(fs::path(DEPT_TEST_DATA) / "parity/data/models/t5-v1.0", model_);
    std::string tokenizer = read_file(model_ / "tokenizer.json");
    for (const auto& [letter, digit] : {std::pair{"J", "0"}, {"Q", "1"}, {"Z", "2"}, {"F", "5"}})
      tokenizer = replaced(tokenizer, str('"', letter, '"'), str('"', digit, '"'));
    write_atomic(model_ / "tokenizer.json", tokenizer);
  }

  std::string rows(const Columns& task, const std::string& name, int count) {
    std::string csv;
    for (const std::string& column : task.texts) csv += column + ",";
    csv += "label,idx\n";
    for (int i = 0; i < count; ++i) {
      for (size_t c = 0; c < task.texts.size(); ++c) csv += i % 3 == 0 ? "a fine film," : "the dull score,";
      csv += task.labels[static_cast<size_t>(i) % task.labels.size()] + "," + std::to_string(i) + "\n";
    }
    return scratch_.write(name, csv).string();
  }
  Words files(const Columns& task) {
    return {"--train_file", rows(task, "train.csv", 10), "--validation_file", rows(task, "validation.csv", 6),
            "--test_file",  rows(task, "test.csv", 5)};
  }
  // What the test changes comes behind it.
  Words original_command(const std::string& task, const Words& more) const {
    Words flags = original_flags(task);
    flags.insert(flags.begin(), "train");
    flags.insert(flags.end(), {"--output_dir", out_.string()});
    flags.insert(flags.end(), more.begin(), more.end());
    return flags;
  }
  Words tiny(Words more) const {
    for (const char* word :
         {"--max_steps", "4", "--eval_steps", "2", "--save_steps", "2", "--warmup_steps", "1", "--per_device_train_batch_size",
          "4", "--prefix_length", "3", "--r", "2", "--max_seq_length", "24", "--threads", "1"})
      more.emplace_back(word);
    more.insert(more.end(), {"--model_name_or_path", model_.string()});
    return more;
  }

  Scratch scratch_;
  const fs::path model_ = scratch_ / "model", out_ = scratch_ / "out";
};

TEST_F(NamedTask, TheOriginalsCommandRunsOnEachOfItsTasks) {
  for (const Columns& task : seed_tasks()) {
    const Outcome run = run_dept(original_command(task.task, tiny(files(task))));
    ASSERT_EQ(run.code, 0) << task.task << run.err;
    EXPECT_THAT(run.err, HasSubstr("--weight_decay has no effect without --apply_weight_decay"));
    EXPECT_THAT(run.err, HasSubstr("--dataset_config_name has no effect"));
    const Json results = Json::parse(run.out);
    EXPECT_EQ(results["train_samples"], 10);
    EXPECT_EQ(results["eval_samples"], 6);
    EXPECT_EQ(results["test_samples"], 5) << "a file is used whole";
    const std::string metric = task.task == std::string("cola")   ? "test_matthews_correlation"
                               : task.task == std::string("stsb") ? "test_spearmanr"
                                                                  : "test_accuracy";
    EXPECT_TRUE(results.contains(metric)) << run.out;
    fs::remove_all(out_);
  }
}

TEST_F(NamedTask, EvalAndPredictReadTheSameRows) {
  const Columns& sst2 = seed_tasks()[6];
  const Outcome trained = run_dept(original_command("sst2", tiny(files(sst2))));
  ASSERT_EQ(trained.code, 0) << trained.err;
  const Json results = Json::parse(trained.out);
  const Words adapter = {"--peft_model_id", out_.string(), "--task_name", "sst2", "--threads", "1"};
  const auto with = [&](Words command, const Words& more) {
    command.insert(command.end(), adapter.begin(), adapter.end());
    command.insert(command.end(), more.begin(), more.end());
    return run_dept(command);
  };
  const std::string test = (scratch_ / "test.csv").string();
  const Outcome evaluated = with({"eval"}, {"--test_file", test});
  ASSERT_EQ(evaluated.code, 0) << evaluated.err;
  EXPECT_EQ(Json::parse(evaluated.out)["accuracy"], results["test_accuracy"]);
  EXPECT_NEAR(Json::parse(evaluated.out)["loss"].get<double>(), results["test_loss"].get<double>(), 1e-6);
  const Outcome validated =
      with({"eval", "--split", "validation"}, {"--validation_file", (scratch_ / "validation.csv").string()});
  EXPECT_EQ(Json::parse(validated.out)["examples"], 6);

  // As rows of a file, as the task's own test data, and as text that is already written: the same five answers.
  const Outcome from_file = with({"predict"}, {"--input", test}), from_split = with({"predict"}, {"--test_file", test});
  ASSERT_EQ(from_file.code, 0) << from_file.err;
  EXPECT_EQ(std::count(from_file.out.begin(), from_file.out.end(), '\n'), 5);
  EXPECT_EQ(from_file.out, from_split.out);
  const std::string unlabelled = scratch_.write("bare.jsonl", "{\"sentence\": \"a fine film\"}\n").string();
  const Outcome bare = with({"predict"}, {"--input", unlabelled, "--predict_by", "score", "--scores"});
  ASSERT_EQ(bare.code, 0) << bare.err;
  const Outcome written = run_dept({"predict", "--peft_model_id", out_.string(), "--predict_by", "score", "--scores"},
                                   "{\"source\": \"sentence: a fine film\"}\n");
  EXPECT_EQ(bare.out, written.out) << written.err;
}

TEST_F(NamedTask, PlainColumnsServeToo) {
  const std::string plain = scratch_.write("plain.csv", "source,target\nthe film,0\na score,1\nthe dull film,1\n").string();
  const Outcome run = run_dept(
      original_command("rte", tiny({"--train_file", plain, "--validation_file", plain, "--test_file", plain, "--add_prefix"})));
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(Json::parse(run.out)["train_samples"], 3);
}

TEST_F(NamedTask, FewShotsAndLimits) {
  const Columns& mnli = seed_tasks()[2];
  for (const char* spelling : {"--k_shot_examples", "--k_shot_example"}) {
    Words flags = files(mnli);
    flags.insert(flags.end(), {spelling, "6", "--max_eval_samples", "4", "--max_predict_samples", "2"});
    const Outcome run = run_dept(original_command("mnli", tiny(flags)));
    ASSERT_EQ(run.code, 0) << run.err;
    const Json results = Json::parse(run.out);
    EXPECT_EQ(results["train_samples"], 6);
    EXPECT_EQ(results["eval_samples"], 4);
    EXPECT_EQ(results["test_samples"], 2);
    fs::remove_all(out_);
  }
  Words flags = files(mnli);
  flags.insert(flags.end(), {"--max_train_samples", "7"});
  EXPECT_EQ(Json::parse(run_dept(original_command("mnli", tiny(flags))).out)["train_samples"], 7);
}

TEST_F(NamedTask, FewShotsOfOnesOwnFile) {
  std::string csv = "text,label\n";
  for (int i = 0; i < 9; ++i) csv += i < 6 ? "a fine film,yes\n" : "the dull film,no\n";
  const Words flags = typed("train --do_train --k_shot_examples 4 --logging_steps 1",
                            {"--train_file", scratch_.write("own.csv", csv), "--output_dir", out_});
  const Outcome run = run_dept(tiny(flags));
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(Json::parse(run.out)["train_samples"], 4);
}

TEST_F(NamedTask, QuirksDivideLocalFilesAsTheOriginalDoes) {
  const Columns& cola = seed_tasks()[0];
  Words flags = files(cola);
  flags.emplace_back("--original_quirks");
  const Outcome run = run_dept(original_command("cola", tiny(flags)));
  ASSERT_EQ(run.code, 0) << run.err;
  const Json results = Json::parse(run.out);
  EXPECT_EQ(results["eval_samples"], 3) << "half of 6";
  EXPECT_EQ(results["test_samples"], 3) << "of 5 what the first half, 2, leaves";
}

TEST_F(NamedTask, ATaskOfOnesOwn) {
  const std::string yaml = scratch_
                               .write("own.yaml",
                                      "airline:\n  source: \"tweet: {text}\"\n  target: \"{mood}\"\n"
                                      "  values: {neg: \"0\", pos: \"1\"}\n  labels: [0, 1]\n  metrics: [accuracy]\n")
                               .string();
  const std::string data = scratch_.write("own.csv", "text,mood\na fine film,pos\nthe dull film,neg\n").string();
  Words flags = {"train",       "--do_train",   "--task_file", yaml, "--train_file", data, "--output_dir",
                 out_.string(), "--do_predict", "--test_file", data};
  const Outcome run = run_dept(tiny(flags));
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_TRUE(Json::parse(run.out).contains("test_accuracy"));
}

TEST_F(NamedTask, NumbersGetARegressionHead) {
  put_tiny_model(scratch_ / "llama");
  const Columns& stsb = seed_tasks()[7];
  Words flags = tiny(files(stsb));
  flags.insert(flags.end(), {"--model_name_or_path", (scratch_ / "llama").string(), "--task_type", "SEQ_CLS"});
  const Outcome run = run_dept(original_command("stsb", flags));
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_TRUE(Json::parse(run.out).contains("test_pearson"));
  fs::remove_all(out_);
  flags.emplace_back("--original_quirks");
  EXPECT_EQ(run_dept(original_command("stsb", flags)).code, 2) << "it crashes there";
}

// Source task, then few shots from its adapter: with A and B, without B, without both.
TEST_F(NamedTask, TransferWithAndWithoutAAndB) {
  const std::string source = (scratch_ / "source").string();
  Words flags = tiny(files(seed_tasks()[6]));
  flags.insert(flags.end(), {"--output_dir", source});
  ASSERT_EQ(run_dept(original_command("sst2", flags)).code, 0);
  std::vector<std::string> losses;
  for (const Words& parts : {Words{}, {"--load_lora_embedding_B", "false"}, {"--load_lora_embeddings", "false"}}) {
    Words target = tiny(files(seed_tasks()[5]));
    target.insert(target.end(), {"--peft_model_id", source, "--k_shot_examples", "4", "--logging_steps", "1"});
    target.insert(target.end(), parts.begin(), parts.end());
    const Outcome run = run_dept(original_command("rte", target));
    ASSERT_EQ(run.code, 0) << run.err;
    losses.push_back(read_json(out_ / "trainer_state.json")["log_history"][0]["loss_exact"].dump());
    fs::remove_all(out_);
  }
  EXPECT_NE(losses[0], losses[1]);
  EXPECT_EQ(losses[1], losses[2]) << "without B there is no A·B yet";
}

TEST_F(NamedTask, AllProblemsAtOnceBeforeTheModel) {
  const std::string bad = scratch_.write("bad.csv", "words,label\na,1\n").string();
  const Outcome run = run_dept(
      original_command("rte", {"--train_file", bad, "--validation_file", "nowhere.csv", "--test_file",
                               rows(seed_tasks()[5], "test.csv", 2), "--model_name_or_path", (scratch_ / "no-model").string()}));
  EXPECT_NE(run.code, 0);
  EXPECT_EQ(run.out, "");
  for (const char* part : {"bad.csv", "\"sentence1\"", "nowhere.csv", "no-model"}) EXPECT_THAT(run.err, HasSubstr(part));
  EXPECT_EQ(std::count(run.err.begin(), run.err.end(), '\n'), 2) << "a warning of --dataset_config_name, an error";
  EXPECT_FALSE(fs::exists(out_));
}

TEST_F(NamedTask, NoRoomOnTheDisk) {
  Words flags = tiny(files(seed_tasks()[6]));
  flags.insert(flags.end(), {"--r", "65536", "--max_seq_length", "1048576", "--prefix_length", "1048576"});
  const Outcome run = run_dept(original_command("sst2", flags));
  EXPECT_EQ(run.code, 4);
  EXPECT_THAT(run.err, HasSubstr("room for "));
  EXPECT_FALSE(fs::exists(out_));
}

TEST_F(NamedTask, UnknownNamesAndTasksThatTheOriginalCannotTrain) {
  EXPECT_THAT(run_dept(original_command("sst22", {})).err, HasSubstr("nearest is sst2"));
  const std::string rows = scratch_.write("p.csv", "source,target\na,0\n").string();
  const Outcome piqa = run_dept(original_command(
      "piqa", tiny({"--train_file", rows, "--validation_file", rows, "--test_file", rows, "--original_quirks"})));
  EXPECT_EQ(piqa.code, 2);
  EXPECT_THAT(piqa.err, HasSubstr("can train"));
  const Columns& task = seed_tasks().front();
  Words smoothing = tiny(files(task));
  smoothing.insert(smoothing.end(), {"--original_quirks", "--label_smoothing_factor", "0.1"});
  const Outcome refused = run_dept(original_command(task.task, smoothing));
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, HasSubstr("[label_smoothing_factor] expected 0 for t5 under --original_quirks"));
}

}  // namespace
}  // namespace dept
