// Rotary position embedding (Su et al. 2021) in the half-split layout of Llama: pairs (i, i + R/2) of a head's first R numbers,
// R = K but where only a part of each head is rotated.
#pragma once

#include <ATen/core/Tensor.h>

#include "dept/tensor/context.h"

namespace dept::kernels {

/// Cosine and sine of each token's angles, [N, R/2] each: made once a batch, used by every layer.
struct RopeAngles {
  at::Tensor cosine, sine;
};

/// position int64 [N], frequency fp64 [R/2] -> angles position[n] * frequency[i], in `dtype` (fp32 or fp64).
RopeAngles rope_angles(const at::Tensor& position, const at::Tensor& frequency, at::ScalarType dtype);

/// Rotates the first R <= K numbers of each head of x [N, heads, K] in place; `inverse` rotates back (its own gradient). x may be
/// a view whose last dimension is contiguous; fp32, bf16 or fp64. Throws bug for other shapes or dtypes.
void rope(at::Tensor& x, const RopeAngles& angles, bool inverse, Kernels kernels = Kernels::own);

}  // namespace dept::kernels
