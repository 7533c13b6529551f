// The log of a run: losses, evaluations and the summary, into its state, its log file and wherever LoopInputs::logged takes them.
#pragma once

#include <cstdint>

#include "dept/train/checkpoint.h"
#include "dept/train/loop_inputs.h"

namespace dept {

class TrainLog {
 public:
  /// Both outlive the log.
  TrainLog(const LoopInputs& inputs, TrainState& state, int64_t total_steps)
      : in_(inputs), state_(state), total_steps_(total_steps) {}

  /// The mean loss since the last one that was logged. `so_far` is the sum of all; `rate` is the next step's.
  void loss(double so_far, double rate);
  void evaluation(const Evaluation& evaluation, double seconds);
  /// Of `seconds` of training.
  void summary(double seconds);
  /// When training will be over, as `steps` steps took `seconds`.
  void announce_end(double seconds, int64_t steps) const;
  /// Whether the step at hand has an evaluation.
  bool has_evaluation() const;

 private:
  void record(OrderedJson entry);

  const LoopInputs& in_;
  TrainState& state_;
  int64_t total_steps_;
};

}  // namespace dept
