// What a training loop works on.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "dept/base/log_file.h"
#include "dept/train/evaluate.h"
#include "dept/train/options.h"

namespace dept {

/// Rows as text and as ids.
struct Split {
  std::vector<TextExample> texts;
  std::vector<Example> examples;
};

/// All references outlive the loop.
struct LoopInputs {
  const Call& call;  ///< seeds and ranks
  const TrainOptions& options;
  const TaskData& task;
  const AdapterConfig& config;
  AdaptedModel& model;  ///< trained in place
  const PredictRules& rules;
  const Split& train;
  const Split& validation;
  Interrupt interrupted;                                     ///< true: finish the step, save, leave
  std::function<void(const OrderedJson& entry)> logged;      ///< takes each entry of the log as it is made
  std::optional<int64_t> pause_at{};                         ///< a step at which it evaluates, saves and leaves
  std::function<void(int64_t step, double loss)> stepped{};  ///< called after each step; the loss is that of the step before
  const log::File* log_file = nullptr;                       ///< gets the lines of a loop that others take turns with
};

}  // namespace dept
