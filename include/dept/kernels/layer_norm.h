// LayerNorm (Ba et al. 2016): y = w (x - mean) / sqrt(mean((x - mean)^2) + eps) + b, statistics in the residual's type.
#pragma once

#include <ATen/core/Tensor.h>

#include "dept/tensor/context.h"

namespace dept::kernels {

/// x fp32 or fp64 [N, D], weight and bias [D] of x's dtype -> y [N, D] in `dtype`: the branches' type, or x's own where y goes on
/// as the residual stream. `statistics` (not null) receives [N, 2] of x's dtype: mean and 1 / sqrt(variance + eps).
/// Throws bug for other shapes or dtypes.
at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double eps, at::ScalarType dtype,
                      at::Tensor* statistics, Kernels kernels = Kernels::own);

/// Adds the gradient of x to dx [N, D] (x's dtype), in place. With g = w dy and z = (x - mean) rstd:
/// dx += rstd * (g - mean(g) - z mean(g z)), dy [N, D] of any dtype that layer_norm gives.
void layer_norm_backward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& statistics,
                         at::Tensor& dx, Kernels kernels = Kernels::own);

}  // namespace dept::kernels
