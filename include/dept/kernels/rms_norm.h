// RMSNorm (Zhang & Sennrich 2019): y = w * x / sqrt(mean(x^2) + eps), statistics in the residual's type.
#pragma once

#include <ATen/core/Tensor.h>

namespace dept::kernels {

/// x fp32 or fp64 [N, D], weight [D] of x's dtype -> y [N, D] in `dtype`; `rstd` (not null) receives [N] of x's dtype.
/// Throws bug for other shapes or dtypes.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, at::ScalarType dtype, at::Tensor* rstd);

/// Adds the gradient of x to dx [N, D] (x's dtype), in place:
/// dx += rstd * (w dy - x rstd^2 mean(w dy x)), dy [N, D] in the branch's dtype.
void rms_norm_backward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& rstd,
                       at::Tensor& dx);

}  // namespace dept::kernels
