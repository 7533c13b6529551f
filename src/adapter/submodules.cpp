#include "dept/adapter/submodules.h"

#include <ATen/ops/zeros.h>

namespace dept {

DeptWeights source_weights(const DeptWeights& weights, int64_t submodules) {
  return {weights.P.narrow(1, 0, weights.P.size(1) / submodules), weights.A, weights.B};
}

DeptWeights target_weights(const DeptWeights& weights, int64_t submodules) {
  const at::Tensor& P = weights.P;
  const int64_t first = P.size(1) / submodules;
  return {P.narrow(1, first, P.size(1) - first), at::zeros({P.size(0), 0, 0}, P.options()),
          at::zeros({P.size(0), 0, P.size(2)}, P.options())};
}

}  // namespace dept
