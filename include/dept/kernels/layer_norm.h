// LayerNorm (Ba et al. 2016): y = w n + b, n = (x - mean) / sqrt(mean((x - mean)^2) + eps), statistics in the residual's type.
#pragma once

#include <ATen/core/Tensor.h>

#include "dept/kernels/norm_saved.h"
#include "dept/tensor/context.h"

namespace dept::kernels {

/// x fp32 or fp64 [N, D], weight and bias [D] of x's dtype -> y [N, D] in `dtype`: the branches' type, or x's own where y goes on
/// as the residual stream; `saved` may be null. Throws bug for other shapes or dtypes.
at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double eps, at::ScalarType dtype,
                      NormSaved* saved, Kernels kernels = Kernels::own);

/// Adds the gradient of x to dx [N, D] (x's dtype), in place. With g = w dy:
/// dx += rstd * (g - mean(g) - n mean(g n)), dy [N, D] of any dtype that layer_norm gives.
void layer_norm_backward(const at::Tensor& dy, const NormSaved& saved, const at::Tensor& weight, at::Tensor& dx,
                         Kernels kernels = Kernels::own);

}  // namespace dept::kernels
