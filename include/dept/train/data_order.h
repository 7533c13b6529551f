// Which examples a run's next micro-batch has.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "dept/data/sampler.h"
#include "dept/train/checkpoint.h"
#include "dept/train/loop_inputs.h"

namespace dept {

class DataOrder {
 public:
  explicit DataOrder(const LoopInputs& inputs);

  /// This rank's part of the next micro-batch in the epoch's order, valid until the next call. Moves the state's place in the
  /// data and its count of floating point operations.
  std::span<const Example> next(TrainState& state);
  /// Of that micro-batch, over all ranks, before it is taken: the longest target's tokens; with labels those of the longest one.
  int64_t longest_target(const TrainState& state);

  int64_t batches_per_epoch() const { return batches_per_epoch_; }
  /// Epochs done, with the share of the one at hand.
  double epochs(const TrainState& state) const;

  /// As TrainState::generator has it, and back.
  std::string generator() const { return sampler_.state(); }
  void restore(const TrainState& state);

 private:
  const std::vector<int64_t>& order();
  std::pair<int64_t, int64_t> bounds(const TrainState& state) const;

  const LoopInputs& in_;
  EpochSampler sampler_;
  int64_t batches_per_epoch_;
  int64_t counted_parameters_;            // in total_flos
  size_t longest_label_ = 0;              // in tokens, 0 without labels
  std::vector<int64_t> lengths_, order_;  // of the examples, and the epoch's order where it is not the sampler's
  std::vector<Example> micro_batch_;
};

}  // namespace dept
