// A whole training run on a tiny model, in memory but for its checkpoints.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "dept/train/loop.h"
#include "unit/train/tiny.h"

namespace dept {

struct TinyRun {
  TrainOptions options;
  AdaptedModel model;
  AdapterConfig config;
  TaskData task;
  PredictRules rules;
  Split train, validation;
  Call call;
  std::function<bool()> interrupted;
  std::function<void(const OrderedJson&)> logged;

  explicit TinyRun(const fs::path& output_dir, int64_t examples = 11, bool head = false)
      : model(head ? tiny_classifier("llama-gqa-tied", 3, Pooling::last) : tiny_parts("llama-gqa-tied")) {
    options.output.output_dir = output_dir.string();
    options.output.save_steps = options.output.logging_steps = 2;
    options.evaluation.eval_steps = 2;
    options.evaluation.eval_strategy = "steps";
    options.schedule.max_steps = 8;
    options.schedule.per_device_train_batch_size = 4;
    options.schedule.gradient_accumulation_steps = 2;
    options.optimizer.learning_rate = 0.05;
    const DeptWeights w = dept_weights(model.weights());
    config.r = w.A.size(2);
    config.max_length = w.A.size(1);
    config.num_virtual_tokens = w.P.size(1);
    config.token_dim = w.P.size(2);
    config.base_model_name_or_path = "model";
    config.task_type = head ? "SEQ_CLS" : "CAUSAL_LM";
    if (head) config.pooling = Pooling::last;
    task.labels = task.label_words = {"no", "yes"};
    task.metrics = {"accuracy"};
    if (head) task.labels = task.label_words = {"no", "yes", "maybe"};
    rules.by = head ? PredictBy::head : PredictBy::score;
    rules.labels = task.labels;
    rules.label_ids = {{5, 1}, {6, 1}};
    train = split(examples, 20);
    validation = split(6, 30);
  }
  static Split split(int64_t count, uint64_t seed) {
    Split split;
    split.examples = random_examples(count, seed);
    for (Example& example : split.examples) {
      const bool yes = example.source[0] % 2 == 0;
      example.target = {yes ? 6 : 5, 1};
      split.texts.push_back({example.index, "", yes ? "yes" : "no"});
    }
    return split;
  }
  LoopInputs inputs() { return {call, options, task, config, model, rules, train, validation, interrupted, logged}; }
};

/// The state that a run which nothing interrupts ends in.
inline TrainState run_whole(TinyRun& run) {
  TrainingLoop loop(run.inputs());
  EXPECT_EQ(loop.run(), LoopEnd::done);
  return loop.state();
}

// The log without what time decides.
inline std::string timeless(const OrderedJson& log) {
  std::string text;
  for (const auto& entry : log)
    for (const auto& [key, value] : entry.items())
      if (key.find("_runtime") == std::string::npos && key.find("_per_second") == std::string::npos)
        text += key + " " + value.dump() + "\n";
  return text;
}

}  // namespace dept
