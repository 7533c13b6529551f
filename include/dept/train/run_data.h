// The rows of a training run, read and encoded before its model is loaded.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "dept/tasks/named_task.h"
#include "dept/train/encode.h"
#include "dept/train/loop.h"
#include "dept/train/options.h"

namespace dept {

struct RunData {
  TaskData task;
  Split train, validation, test;  ///< of train the ids alone
  std::shared_ptr<const Tokenizer> tokenizer;
  EncodeRules rules;
  at::Tensor class_weights;
  OrderedJson contents;                       ///< digests of rows that are in no file of the user's
  std::vector<std::string> counts, warnings;  ///< to be said of them
};

/// The tokens of the soft prompt: the options', or those of the adapter of --peft_model_id.
int64_t prompt_length(const TrainOptions& options);

/// The task type of the options, or of the adapter that --peft_model_id names. Throws usage.
std::string task_type(const TrainOptions& options, const ModelInfo& model);

/// The splits that the run works on.
std::vector<SplitName> splits_of(const OutputOptions& output);

/// How a run's texts become ids. Throws usage or bad_input.
EncodeRules run_rules(const TrainOptions& options, const ModelInfo& info, const Tokenizer& tokenizer, const TaskData& task);

/// Reads and encodes every row: a bad one is found now. Throws usage, io or bad_input (naming file and row).
std::shared_ptr<const RunData> read_run_data(const TrainOptions& options, const std::vector<SplitName>& splits, int threads);

/// Runs with the same key read the same data: all options but those that only training and evaluation look at.
std::string data_key(const TrainOptions& options, const OptionSet& set, const std::vector<SplitName>& splits);

}  // namespace dept
