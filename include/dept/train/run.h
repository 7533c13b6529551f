// `dept train` whole: checks, data, model, training, evaluation, results.
#pragma once

#include "dept/train/evaluate.h"
#include "dept/train/options.h"

namespace dept {

enum class RunEnd { done, interrupted, done_before };

/// Runs what the options ask for. They are settled; `set` describes them and knows which were given.
/// `interrupted` turning true ends the run after the step or the evaluation's batch at hand, with a checkpoint.
/// Throws what the checks find, all at once and before a model is loaded; later io, and bad_input for a loss that is not finite.
RunEnd run_training(TrainOptions& options, const OptionSet& set, const Interrupt& interrupted);

}  // namespace dept
