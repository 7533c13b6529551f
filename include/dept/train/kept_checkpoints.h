// The checkpoints of one run: which it goes on from, which it keeps, which is the best.
#pragma once

#include <optional>

#include "dept/train/checkpoint.h"
#include "dept/train/loop_inputs.h"
#include "dept/train/step.h"

namespace dept {

class KeptCheckpoints {
 public:
  /// Both outlive this.
  KeptCheckpoints(const LoopInputs& inputs, TrainState& state, int64_t total_steps)
      : in_(inputs), state_(state), total_steps_(total_steps) {}

  /// The step of the newest one; 0 means none.
  int64_t newest() const { return newest_; }

  /// Saves state, weights and optimiser. `evaluated` is the evaluation that chooses the best, where one belongs to this step.
  void save(const Step& step, std::optional<double> evaluated);

  /// Takes state and weights from the folder, and the best checkpoint of the run that wrote it.
  Checkpoint resume(const fs::path& folder);
  /// Removes those behind the state's step, and those that are too many.
  void drop_later() const;

  /// Takes the weights of the best one, where there is one.
  void load_best() const;

  /// Whether `a` is better than `b`, as what chooses the best has it.
  bool better(double a, double b) const;

 private:
  void take_over_best(const fs::path& run);
  bool same_metric() const;
  void take_weights(const AdapterWeights& weights) const;

  const LoopInputs& in_;
  TrainState& state_;
  int64_t total_steps_;
  int64_t newest_ = 0;
};

}  // namespace dept
