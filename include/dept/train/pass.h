// Training loops that take their steps together: one pass of all their micro-batches through the model that they share.
#pragma once

#include <span>

#include "dept/train/loop.h"

namespace dept {

/// What a step took: the way through the model and the optimiser.
struct PassCost {
  double seconds = 0;
  double tokens = 0;  ///< of sources and targets
};

class Pass {
 public:
  /// One step of each loop, of all that is alike but weights, seeds, examples and rates (StepStack). A loop that is not finite
  /// gets its failure and takes no part in what follows; the others go on. Throws Interrupted when an evaluation was interrupted:
  /// all loops are to leave then.
  PassCost step(std::span<TrainingLoop* const> loops);

  /// Of loops that have come through the last pass and evaluate next, those that are evaluated alike share a pass. Throws
  /// Interrupted.
  void evaluate(std::vector<TrainingLoop*> loops);

 private:
  double accumulate(std::vector<TrainingLoop*> loops);

  StepStack stack_;
};

}  // namespace dept
