// RMSNorm (Zhang & Sennrich 2019): y = w * n, n = x / sqrt(mean(x^2) + eps), statistics in the residual's type.
#pragma once

#include <ATen/core/Tensor.h>

#include "dept/kernels/norm_saved.h"
#include "dept/tensor/context.h"

namespace dept::kernels {

/// x fp32 or fp64 [N, D], weight [D] of x's dtype -> y [N, D] in `dtype`; `saved` may be null.
/// Throws bug for other shapes or dtypes.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, at::ScalarType dtype, NormSaved* saved,
                    Kernels kernels = Kernels::own);

/// Adds the gradient of x to dx [N, D] (x's dtype), in place:
/// dx += rstd * (w dy - n mean(w dy n)), dy [N, D] in the branch's type.
void rms_norm_backward(const at::Tensor& dy, const NormSaved& saved, const at::Tensor& weight, at::Tensor& dx,
                       Kernels kernels = Kernels::own);

}  // namespace dept::kernels
