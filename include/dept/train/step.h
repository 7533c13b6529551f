// One optimiser step over one or more micro-batches, on 1..N ranks; and micro-batches of several runs in one pass through the
// model that they share.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/train/model_parts.h"
#include "dept/train/optimizer.h"
#include "dept/train/trainables.h"

namespace dept {

/// What a step throws whose loss or gradients are not finite: bad_input.
class NotFinite : public Error {
 public:
  NotFinite(std::string_view where, std::string_view expected, double received)
      : Error(Code::bad_input,
              str("[", where, "] expected ", expected, " (a smaller learning rate may help), received ", received)) {}
};

class Step {
 public:
  /// `model` (whose weights it moves) must outlive the step. Each of `accumulation` micro-batches counts as much as the
  /// others.
  Step(const Call& call, AdaptedModel& model, const AdamOptions& adam, double max_grad_norm, int64_t accumulation);

  /// Forward and backward of this rank's part of a micro-batch; over all ranks together the gradients of the mean loss over label
  /// tokens are added up (the mean of the micro-batches' means). An empty part is fine as long as some rank has tokens.
  /// `longest_target`: in tokens, over all ranks. Keys its dropout with the count of micro-batches so far. Returns how many label
  /// tokens (examples, of a head) of each configuration it had over all ranks, fp64 [K].
  at::Tensor accumulate(std::span<const Example> examples, int64_t longest_target = 0);

  /// Of several ranks all leave behind the same step: whether any of them had `wish` true when the last sums were taken. What
  /// this rank says now goes with the next ones.
  bool agreed_to_leave(bool wish);

  /// The loss of the step so far, fp64 [K], and what the trainer adds to it.
  const at::Tensor& loss() const { return loss_; }
  void add_loss(double loss);

  /// Clips each configuration's gradients, moves the weights by rates[k] and forgets the gradients.
  /// Throws NotFinite, before anything moves, when a gradient is not finite. On a device such a step is withheld there, and the
  /// next update, state or require_finite_gradients throws. Returns the step's loss of each configuration, fp64 [K]; reading it
  /// one step late keeps a device busy.
  at::Tensor update(const std::vector<Rates>& rates);

  /// Waits for the last update. Throws NotFinite when it was withheld.
  void require_finite_gradients() const;

  int64_t micro_steps() const { return call_.micro_step; }
  /// Of one configuration, without those of a visual embedding; and these.
  int64_t parameters() const { return parameter_count(trainables_, false); }
  int64_t visual_parameters() const { return parameter_count(trainables_, true); }

  /// Whether the micro-batches of both may pass through the model as one (StepStack). Both are at the same micro-step, which keys
  /// their dropout.
  bool stacks_with(const Step& other) const;

  /// The optimiser's state on the CPU, and back with the count of micro-batches. Waits as require_finite_gradients does.
  NamedTensors state() const;
  void restore(const NamedTensors& state, int64_t micro_steps);

 private:
  friend class StepStack;
  Batch training_batch(std::span<const Example> examples) const;
  void add(const at::Tensor& loss, const Gradients& gradients);

  Call call_;
  AdaptedModel& model_;
  std::vector<Trainable> trainables_;
  AdamW optimizer_;
  double max_grad_norm_;
  double share_;  // of one micro-batch in the step
  at::Tensor loss_;
  at::Tensor pending_norms_;  // of the last update on a device, not yet read
  bool wish_ = false, agreed_ = false;
};

/// What a run brings to a pass.
struct StepPart {
  Step* step = nullptr;
  std::span<const Example> examples;
  int64_t longest_target = 0;  ///< in tokens, over the parts of all ranks
};

/// Steps of several runs (of one configuration and one rank each), of which each stacks with the others: their micro-batches pass
/// through the model as one.
class StepStack {
 public:
  /// The model with the weights of all steps, which must stack; a view of them. Good until the next call of either function.
  const AdaptedModel& joined(std::span<const StepPart> parts);
  /// As each part's Step::accumulate, up to the rounding of a larger batch. Returns for each part what that returns.
  std::vector<at::Tensor> accumulate(std::span<const StepPart> parts);

 private:
  std::optional<AdaptedModel> model_;  // with the weights of the steps that came together last
};

}  // namespace dept
