// What a run says of options that change nothing and of settings that hardly anybody means.
#include <gmock/gmock.h>

#include "dept/base/log.h"
#include "dept/base/text.h"
#include "dept/train/advice.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

using testing::HasSubstr;
using testing::Not;

struct Advice {
  TrainOptions options;
  OptionSet set;
  ModelInfo model;
  AdapterConfig adapter;
  Scratch scratch;

  explicit Advice(std::vector<std::string> more) {
    describe(options, set);
    std::vector<std::string> flags = {"--model_name_or_path", "./model", "--output_dir", "out",
                                      "--train_file",         "t.csv",   "--do_train"};
    flags.insert(flags.end(), more.begin(), more.end());
    set.parse_flags(flags);
    settle(options, set);
    model.model_type = "llama";
    adapter.r = options.adapter.r;
    adapter.num_virtual_tokens = options.adapter.prefix_length;
    adapter.method = &find_method(options.adapter.peft_type);
    adapter.prompt_tuning_init = options.adapter.prompt_tuning_init;
  }
  std::string said() {
    log::to_file(scratch / "log");
    advise(options, set, model, adapter);
    log::close_file();
    return read_file(scratch / "log");
  }
};

TEST(Advice, AnOrdinaryRunIsNotTalkedTo) {
  const std::string said = Advice({"--learning_rate", "0.3", "--r", "8", "--max_steps", "10", "--warmup_steps", "2",
                                   "--save_steps", "5", "--seed", "1", "--logging_steps", "2"})
                               .said();
  EXPECT_THAT(said, HasSubstr("trained, then judged: a new adapter (decomposed prompt of 100 tokens, rank 8) on ./model"));
  EXPECT_THAT(said, Not(HasSubstr("no effect")));
  EXPECT_THAT(said, Not(HasSubstr("learns next to nothing")));
}

TEST(Advice, NamesEachOptionThatChangesNothing) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"--eval_steps", "5"}, "--eval_steps has no effect: --eval_strategy is no"},
      {{"--eval_delay", "5"}, "--eval_delay has no effect"},
      {{"--metric_for_best_model", "loss"}, "--metric_for_best_model has no effect"},
      {{"--early_stopping_threshold", "1"}, "--early_stopping_threshold has no effect: there is no --early_stopping_patience"},
      {{"--max_steps", "5", "--num_train_epochs", "2"}, "--num_train_epochs has no effect: --max_steps decides"},
      {{"--warmup_steps", "5", "--warmup_ratio", "0.1"}, "--warmup_ratio has no effect: --warmup_steps decides"},
      {{"--warmup_steps", "5", "--lr_scheduler_type", "constant"}, "--warmup_steps has no effect"},
      {{"--peft_type", "PROMPT_TUNING", "--r", "5"}, "--r has no effect: --peft_type PROMPT_TUNING"},
      {{"--r", "0", "--lora_alpha", "5"}, "--lora_alpha has no effect: --r 0"},
      {{"--prompt_tuning_init", "RANDOM", "--prompt_tuning_init_text", "x"}, "--prompt_tuning_init_text has no effect"},
      {{"--head_learning_rate", "1"}, "--head_learning_rate has no effect: there is no classification head"},
      {{"--load_lora_embeddings", "false"}, "--load_lora_embeddings has no effect: there is no --peft_model_id"},
      {{"--save_strategy", "epoch", "--save_steps", "5"}, "--save_steps has no effect: --save_strategy is epoch"},
      {{"--save_strategy", "no", "--save_total_limit", "5"}, "--save_total_limit has no effect"},
      {{"--report_to", "none", "--logging_dir", "x"}, "--logging_dir has no effect"},
      {{"--train_sampling_strategy", "sequential", "--data_seed", "5"}, "--data_seed has no effect"},
      {{"--test_file", "x.csv"}, "--test_file has no effect: there is no --do_predict"},
      {{"--max_eval_samples", "5", "--validation_file", "v.csv"},
       "--validation_file, --max_eval_samples have no effect: there is no --do_eval"},
      {{"--predict_by", "score", "--test_file", "x.csv", "--do_predict", "--max_new_tokens", "3"},
       "--max_new_tokens has no effect: --predict_by score writes no text"},
      {{"--revision", "main"}, "--revision has no effect"},
      {{"--split_validation_test", "false"}, "--split_validation_test has no effect: there is no --task_name"},
      {{"--do_train", "false", "--do_predict", "--test_file", "x.csv", "--learning_rate", "1", "--max_train_samples", "3"},
       "--learning_rate, --max_train_samples have no effect: there is no --do_train"},
  };
  for (const auto& [flags, line] : cases) EXPECT_THAT(Advice(flags).said(), HasSubstr(line));
}

TEST(Advice, TheDefaultRateOfAPrompt) {
  EXPECT_THAT(Advice({}).said(),
              HasSubstr("--learning_rate is 5e-05, the default, at which a soft prompt learns next to nothing"));
}

TEST(Advice, AWarmUpLongerThanTheRun) {
  const auto said = [](int64_t warmup, double ratio, const std::string& type, int64_t steps) {
    const Scratch scratch;
    ScheduleOptions schedule;
    schedule.warmup_steps = warmup;
    schedule.warmup_ratio = ratio;
    schedule.lr_scheduler_type = type;
    log::to_file(scratch / "log");
    warn_of_long_warmup(schedule, steps);
    log::close_file();
    return read_file(scratch / "log");
  };
  EXPECT_THAT(said(500, 0, "linear", 100), HasSubstr("the warm-up of 500 steps does not end within the run's 100"));
  EXPECT_THAT(said(0, 1, "linear", 100), HasSubstr("the warm-up of 100 steps"));
  EXPECT_EQ(said(99, 0, "linear", 100), "");
  EXPECT_EQ(said(0, 0, "linear", 100), "");
  EXPECT_EQ(said(500, 0, "constant", 100), "");
}

}  // namespace
}  // namespace dept
