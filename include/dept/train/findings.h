// What a trained prompt came to, in words and numbers, for the report.
#pragma once

#include "dept/base/json.h"
#include "dept/train/model_parts.h"

namespace dept {

/// What report.json holds of a run's first configuration:
///   parameters         trained numbers, without those of a visual embedding
///   visual_parameters  these, where there is one
///   peak_memory_bytes  of this process so far
///   prompt             of each vector of P: {"vector", "norm", "nearest": [{"word", "cosine"}]}, the five words of the
///   vocabulary
///                      whose embeddings have the largest cosine with it; of a second submodule's prompt "vector" says so
///   delta_norms        of each row of the scaled A·B its Euclidean norm; left out for rank 0
OrderedJson training_findings(const AdaptedModel& model, int64_t parameters, int64_t visual_parameters = 0);

}  // namespace dept
