#include <algorithm>
#include <set>
#include <tuple>

#include "base/other_names.h"
#include "dept/base/json.h"
#include "dept/base/text.h"
#include "dept/tensor/device.h"
#include "dept/train/loop.h"
#include "dept/train/options.h"
#include "original_command.h"
#include "support/typed.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

struct Parsed {
  TrainOptions options;
  OptionSet set;
  explicit Parsed(std::vector<std::string> more) {
    describe(options, set);
    std::vector<std::string> flags = {"--model_name_or_path", "model",     "--output_dir", "out",
                                      "--train_file",         "train.csv", "--do_train"};
    flags.insert(flags.end(), more.begin(), more.end());
    set.parse_flags(flags);
  }
  TrainOptions settled() {
    settle(options, set);
    return options;
  }
};

TEST(TrainOptions, HaveTheOriginalsDefaults) {
  const TrainOptions o = Parsed({}).settled();
  EXPECT_EQ(o.data.max_seq_length, 256);
  EXPECT_EQ(o.adapter.prefix_length, 100);
  EXPECT_EQ(o.adapter.r, 30);
  EXPECT_EQ(o.adapter.lora_alpha, 8);
  EXPECT_EQ(o.optimizer.adam_epsilon, 1e-6);
  EXPECT_EQ(o.schedule.seed, 42);
  EXPECT_EQ(*o.evaluation.eval_steps, 500) << "logging_steps";
}

TEST(TrainOptions, TakeTheOriginalsCommand) {
  const TrainOptions o = Parsed(original_flags("sst2")).settled();
  EXPECT_EQ(*o.optimizer.lora_embedding_lr, 5e-3);
  EXPECT_EQ(o.evaluation.eval_strategy, "steps");
  EXPECT_EQ(*o.evaluation.eval_steps, 1000);
  EXPECT_EQ(*o.output.save_total_limit, 1);
  EXPECT_FALSE(o.optimizer.apply_weight_decay);
}

TEST(TrainOptions, SayAllContradictionsAtOnce) {
  Parsed parsed({"--add_prefix", "--push_to_hub", "--do_predict", "--load_best_model_at_end", "--eval_strategy", "steps",
                 "--eval_steps", "300"});
  const std::string message = error_of(Code::usage, [&] { parsed.settled(); });
  for (const char* part : {"--add_prefix", "--push_to_hub", "--test_file", "--validation_file", "multiple of --eval_steps"})
    EXPECT_NE(message.find(part), std::string::npos) << message;
}

TEST(TrainOptions, ANamedTaskNeedsNoFilesAndNoColumns) {
  EXPECT_EQ(*Parsed({"--task_name", "sst2", "--do_predict"}).settled().data.task_name, "sst2");
  Parsed parsed({"--task_name", "sst2", "--labels", "a", "b", "--early_stopping_patience", "2"});
  const std::string message = error_of(Code::usage, [&] { parsed.settled(); });
  for (const char* part : {"--labels", "--early_stopping_patience"}) EXPECT_NE(message.find(part), std::string::npos) << message;
}

// Every name of the table leads somewhere: to an option of training, or to one of the other commands.
TEST(TrainOptions, NamesOfOtherToolsLeadToOptionsThatAreThere) {
  static const std::set<std::string_view> of_others = {"input",
                                                       "output",
                                                       "scores",
                                                       "temperature",
                                                       "top_k",
                                                       "top_p",
                                                       "do_sample",
                                                       "num_return_sequences",
                                                       "repetition_penalty",
                                                       "stop",
                                                       "num_beams",
                                                       "batch_size",
                                                       "batch",
                                                       "warmup",
                                                       "m",
                                                       "max_samples",
                                                       "validation_split"};
  for (const OtherNames& row : other_names()) {
    TrainOptions options;
    OptionSet set;
    describe(options, set);
    const auto here =
        std::find_if(row.ours.begin(), row.ours.end(), [&](std::string_view ours) { return set.find(ours) != nullptr; });
    for (const std::string_view ours : row.ours) EXPECT_TRUE(set.find(ours) != nullptr || of_others.contains(ours)) << ours;
    for (const std::string_view other : row.others) {
      if (here == row.ours.end() || set.find(other) != nullptr) continue;
      Problems problems;
      set.parse_flags({str("--", other), "1"}, problems);
      EXPECT_NE(error_of(Code::usage, [&] { problems.raise(); }).find(str("(here it is --", set.find(*here)->name, ")")),
                std::string::npos)
          << other;
    }
  }
}

TEST(TrainOptions, CudaGraphsWantAGpu) {
  const ModelOptions model = Parsed({"--cuda_graphs"}).settled().model;
  EXPECT_EQ(error_of(Code::usage, [&] { make_context(model); }), "[cuda_graphs] expected a GPU (--device cuda), received cpu");
  EXPECT_FALSE(make_context({}).graphs);
}

TEST(TrainOptions, ADeviceIsThereOrIsRefused) {
  for (const char* name : {"cpu", "auto"}) EXPECT_EQ(Parsed({"--device", name}).settled().model.device, name);
  for (const std::string& name : {str("cuda:", gpu_count()), std::string("cuda:1234")})
    EXPECT_EQ(error_of(Code::usage,
                       [&] {
                         Parsed({"--device", name});
                       }),
              str("[--device] expected a GPU that is there, cpu or auto (here are ", gpu_report(), "), received \"", name, "\""));
  for (const char* name : {"gpu", "cuda:", "cuda:x", "mps"})
    EXPECT_EQ(error_of(Code::usage,
                       [&] {
                         Parsed({"--device", name});
                       }),
              str("[--device] expected cpu, cuda, cuda:N or auto, received \"", name, "\""));
}

TEST(TrainOptions, EachContradictionSaysWhatIsExpected) {
  const auto refusal = [](const std::vector<std::string>& flags) {
    Parsed parsed(flags);
    return error_of(Code::usage, [&] { parsed.settled(); });
  };
  EXPECT_EQ(refusal({"--do_eval"}),
            "[--validation_file] expected validation data, --validation_split or --task_name, for --do_eval and evaluations "
            "while training, received "
            "nothing");
  EXPECT_EQ(refusal({"--bf16", "--dtype", "fp32"}), "[--dtype] expected bf16, as --bf16 says, received fp32");
  EXPECT_EQ(refusal({"--quantization", "--backbone_dtype", "bf16"}),
            "[--backbone_dtype] expected int8, as --quantization says, received bf16");
  EXPECT_EQ(refusal({"--task_name", "sst2", "--text_column", "sentence"}),
            "[--text_column] expected data without --task_name, as a named task has its own, received --task_name sst2");
  EXPECT_EQ(refusal({"--report_to", "none", "tensorboard"}),
            "[--report_to] expected none by itself, or tensorboard, received none, tensorboard");
  EXPECT_EQ(refusal({"--max_steps", "0"}), "[--max_steps] expected at least 1, or -1: --num_train_epochs decides, received 0");
}

TEST(TrainOptions, WhatWasGivenWronglyIsNotMissingToo) {
  TrainOptions options;
  OptionSet set;
  describe(options, set);
  Problems problems;
  set.parse_flags({"--model", "t5-base", "--output", "out", "--do_train", "--dataset", "sst2"}, problems);
  EXPECT_NO_THROW(settle(options, set));
}

TEST(TrainOptions, EveryFieldOfTheOriginalsIsKnown) {
  for (const Json& name : read_json(fs::path(DEPT_TEST_DATA) / "parity/data/train/arguments.json")) {
    TrainOptions options;
    OptionSet set;
    describe(options, set);
    try {
      set.parse_flags({"--" + name.get<std::string>() + "=true"});
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).find("a known option"), std::string::npos) << error.what();
    }
  }
}

TEST(TrainOptions, QuirksDropWhatTheOriginalIgnores) {
  const std::vector<std::string> flags = typed(
      "--optim adamw_torch --adam_beta1 0.5 --adam_beta2 0.6 --adam_epsilon 1e-3 --warmup_ratio 0.5 --lr_scheduler_type cosine"
      " --apply_weight_decay --metric_for_best_model loss");
  const TrainOptions works = Parsed(flags).settled();
  EXPECT_EQ(works.optimizer.optim, "adamw_torch");
  EXPECT_EQ(works.optimizer.adam_beta1, 0.5);
  EXPECT_EQ(works.schedule.lr_scheduler_type, "cosine");
  std::vector<std::string> quirks = flags;
  quirks.emplace_back("--original_quirks");
  const TrainOptions o = Parsed(quirks).settled();
  EXPECT_EQ(o.optimizer.optim, "adamw_hf");
  EXPECT_EQ(o.optimizer.adam_beta1, 0.9);
  EXPECT_EQ(o.optimizer.adam_beta2, 0.999);
  EXPECT_EQ(o.optimizer.adam_epsilon, 1e-6);
  EXPECT_EQ(o.schedule.lr_scheduler_type, "linear");
  EXPECT_EQ(o.schedule.warmup_ratio, 0);
  EXPECT_FALSE(o.optimizer.apply_weight_decay);
  EXPECT_EQ(o.evaluation.metric_for_best_model, "");
  EXPECT_EQ(Parsed({"--original_quirks", "--optim", "adafactor"}).settled().optimizer.optim, "adamw_hf");
  Parsed other({"--optim", "adafactor"});
  EXPECT_NE(error_of(Code::usage, [&] { other.settled(); }).find("adamw_hf or adamw_torch"), std::string::npos);
}

TEST(TrainOptions, ArgumentsOfTheScheduleAreChecked) {
  const auto refusal = [](const std::vector<std::string>& flags) {
    Parsed parsed(flags);
    return error_of(Code::usage, [&] { parsed.settled(); });
  };
  EXPECT_EQ(Parsed({"--lr_scheduler_type", "cosine", "--lr_scheduler_kwargs", "{\"num_cycles\": 2}"}).settled().output.output_dir,
            "out");
  for (const auto& [type, arguments, expected] :
       {std::tuple{"linear", "{\"power\": 2}", "nothing for linear"},
        {"cosine", "{\"power\": 2}", "num_cycles for cosine"},
        {"cosine", "{\"num_cycles\": \"x\"}", "num_cycles"},
        {"cosine_with_min_lr", "", "min_lr or min_lr_rate"},
        {"warmup_stable_decay", "{}", "num_decay_steps"},
        {"cosine", "[1]", "a JSON object"},
        {"cosine", "{", "lr_scheduler_kwargs"},
        {"warmup_stable_decay", "{\"num_decay_steps\": 3, \"decay_type\": \"round\"}", "1-sqrt"}})
    EXPECT_NE(refusal({"--lr_scheduler_type", type, "--lr_scheduler_kwargs", arguments}).find(expected), std::string::npos)
        << type << arguments;
}

TEST(TrainOptions, RatesThatFollowEvaluationsNeedThem) {
  const auto refusal = [](std::vector<std::string> flags) {
    flags.insert(flags.begin(), {"--lr_scheduler_type", "greedy"});
    Parsed parsed(flags);
    return error_of(Code::usage, [&] { parsed.settled(); });
  };
  EXPECT_NE(refusal({}).find("[--eval_strategy] expected steps or epoch, as --lr_scheduler_type greedy follows the evaluations"),
            std::string::npos);
  const std::vector<std::string> evaluated = {"--eval_strategy", "steps", "--validation_file", "v.csv", "--lr_scheduler_kwargs"};
  for (const auto& [arguments, expected] : {std::pair{"{\"factor\": 1}", "between 0 and 1"},
                                            {"{\"mode\": \"least\"}", "max or min"},
                                            {"{\"num_cycles\": 2}", "warmup, max_lr"},
                                            {"{\"patience\": \"x\"}", "patience"},
                                            {"{\"window_size\": 0}", "window_size"},
                                            {"3", "a JSON object"}}) {
    std::vector<std::string> flags = evaluated;
    flags.emplace_back(arguments);
    EXPECT_NE(refusal(flags).find(expected), std::string::npos) << arguments << refusal(flags);
  }
}

TEST(TrainOptions, VanillaPromptTuningHasNoRank) {
  EXPECT_EQ(Parsed({"--peft_type", "PROMPT_TUNING"}).settled().adapter.r, 0);
}

TEST(TrainOptions, EpochsBecomeSteps) {
  ScheduleOptions schedule;
  schedule.num_train_epochs = 3;
  EXPECT_EQ(total_steps(schedule, 7), 21);
  schedule.gradient_accumulation_steps = 2;
  EXPECT_EQ(total_steps(schedule, 7), 9) << "transformers counts whole steps of an epoch";
  schedule.num_train_epochs = 0.5;
  EXPECT_EQ(total_steps(schedule, 7), 2) << "rounded up";
  schedule.max_steps = 5;
  EXPECT_EQ(total_steps(schedule, 7), 5);
}

}  // namespace
}  // namespace dept
