// Training the adapter of a model on rows in memory.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "dept/adapted_model.h"

namespace dept {

struct TrainingOptions {
  OptimizerOptions optimizer;
  ScheduleOptions schedule;
};

/// Of the step just done.
struct TrainingProgress {
  int64_t step = 0, steps = 0;
  double loss = 0;  ///< of the step before, 0 behind the first
};

/// Moves the adapter of `model` (and its head) by the loss of `rows`, as `dept train` does, with dropout, schedule and order of
/// its seed. `progress` is called after each step; where it returns false the training ends there. Throws usage for a model that
/// is loaded to answer or for no rows; bad_input for a row that cannot be encoded and for a loss that is not finite.
void train(AdaptedModel& model, std::span<const TextExample> rows, const TrainingOptions& options,
           const std::function<bool(const TrainingProgress&)>& progress = {});

}  // namespace dept
