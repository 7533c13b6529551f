// What the attention modules share.
#pragma once

#include "dept/nn/modules.h"

namespace dept::nn {

/// The plan's options for a module that computes with these kernels.
inline kernels::AttentionOptions options_of(const AttentionPlan& plan, Kernels kernels) {
  kernels::AttentionOptions options = plan.options;
  options.kernels = kernels;
  return options;
}

/// The same with the layer's dropout in them.
inline kernels::AttentionOptions with_dropout(const AttentionPlan& plan, Kernels kernels) {
  kernels::AttentionOptions options = options_of(plan, kernels);
  options.dropout = plan.dropout.p;
  options.streams = plan.dropout.streams;
  return options;
}

}  // namespace dept::nn
