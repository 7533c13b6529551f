// Texts of several adapters with classification heads on one frozen model, computed together.
#pragma once

#include <ATen/core/Tensor.h>

#include <span>
#include <vector>

#include "dept/train/model_parts.h"

namespace dept {

struct HeadBatch {
  const AdaptedModel* model;
  Batch batch;
};

/// What each model's head says of its texts: fp64 [B, C] each. All models have the same backbone. `batches` is not empty.
std::vector<at::Tensor> head_logits(std::span<const HeadBatch> batches);

}  // namespace dept
