// What a run makes known of its training and evaluations: TensorBoard's events, results, predictions, details.
#pragma once

#include <optional>

#include "dept/train/loop.h"
#include "dept/train/outputs.h"
#include "dept/train/run_data.h"
#include "dept/train/tensorboard.h"

namespace dept {

/// TensorBoard's file, made when there is something for it.
class RunEvents {
 public:
  /// `shown`: the options as the file shows them. Both outlive it; `writes` false: nothing is written.
  RunEvents(const TrainOptions& options, const OrderedJson& shown, bool writes);

  void log(const OrderedJson& entry);
  void end();
  void fail();

 private:
  EventWriter& open(int64_t first_step);

  const TrainOptions& options_;
  const OrderedJson& shown_;
  bool writes_;
  std::optional<EventWriter> writer_;
};

/// The adapter, the state and the results of a training that is done.
void leave_trained(const TrainingLoop& loop, const LoopInputs& in, Outputs& outputs);

/// The test data, with predictions and detail; `trained` (may be null) is what stands before it.
void evaluate_test(const LoopInputs& in, const RunData& data, Outputs& outputs, const TrainState* trained);

/// What follows the training, or (loop null) is all that is asked for. False: interrupted.
bool evaluate_all(const LoopInputs& in, const RunData& data, Outputs& outputs, TrainingLoop* loop);

}  // namespace dept
