// What the attention modules share.
#pragma once

#include "dept/nn/modules.h"

namespace dept::nn {

/// The plan's options with the layer's dropout in them.
inline kernels::AttentionOptions with_dropout(const AttentionPlan& plan) {
  kernels::AttentionOptions options = plan.options;
  options.dropout = plan.dropout.p;
  options.streams = plan.dropout.streams;
  return options;
}

}  // namespace dept::nn
