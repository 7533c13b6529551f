// What the backward pass of a norm needs, whichever norm it is.
#pragma once

#include <ATen/core/Tensor.h>

namespace dept::kernels {

/// Where branches are bf16, half of what x itself would take, or a quarter.
struct NormSaved {
  at::Tensor normalised;  ///< n [N, D] before weight and bias, in the type of what the norm gave, or in codes
  at::Tensor rstd;        ///< [N] in x's type: 1 / sqrt(mean(x^2) + eps), of a LayerNorm of the variance
  at::Tensor largest{};   ///< with codes: max |n| of a row, [N]

  // A code is int8: n = c |c| largest / 127^2. Backward takes n's share out of a gradient, so that an error of n counts by that
  // share; steps that grow with n keep it near 1 % whatever the row's largest number is.
  static constexpr int most = 127;
  bool coded() const { return normalised.scalar_type() == at::kChar; }
};

}  // namespace dept::kernels
