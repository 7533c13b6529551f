// A prompt for each stack of an encoder-decoder (num_transformer_submodules = 2): P [K, 2M, D] holds the rows in front of the
// encoder's input, then those in front of the decoder's.
#pragma once

#include "dept/adapter/dept.h"

namespace dept {

/// What apply_dept puts on the source stream: the first 1 / submodules of P's rows, with A and B.
DeptWeights source_weights(const DeptWeights& weights, int64_t submodules);

/// What apply_dept puts on the target stream of an encoder-decoder: the rows of P behind them (none for one submodule) with R =
/// 0.
DeptWeights target_weights(const DeptWeights& weights, int64_t submodules);

}  // namespace dept
