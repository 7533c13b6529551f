// What is known of a run before its model is loaded: whether options, model, task and folder agree.
#pragma once

#include <functional>

#include "dept/train/marker.h"
#include "dept/train/options.h"

namespace dept {

/// Whether model and options agree, once the model is on disk. Throws usage or io, all problems at once.
void check_fit(const TrainOptions& options);

/// All that can be known before the model is loaded, all problems at once; `claim` checks what is in the folder.
void check_run(const TrainOptions& options, const std::function<void()>& claim);

/// What the options let a run do with an earlier one's folder.
ClaimRules claim_rules(const OutputOptions& options);

}  // namespace dept
