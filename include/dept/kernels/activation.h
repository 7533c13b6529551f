// The non-linear middles of feed-forward blocks, with the backward that keeps least.
#pragma once

#include <ATen/core/Tensor.h>

#include "dept/kernels/dropout.h"

namespace dept::kernels {

enum class Activation {
  relu,
  gelu,      ///< x Phi(x) (Hendrycks & Gimpel 2016)
  gelu_new,  ///< its approximation 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), same source
  silu,      ///< x sigmoid(x)
};

/// dropout(f(x)) for x [N, F] in fp32, bf16 or fp64 -> [N, F].
at::Tensor activation(Activation f, const at::Tensor& x, const Dropout& dropout, Kernels kernels = Kernels::own);
/// d [N, F] -> gradient of x: d * mask * f'(x).
at::Tensor activation_backward(Activation f, const at::Tensor& d, const at::Tensor& x, const Dropout& dropout,
                               Kernels kernels = Kernels::own);

/// Gated units (Shazeer 2020): dropout(f(gate) * up). gate_up [N, 2F] (gate first) -> [N, F]; fp32, bf16 or fp64.
at::Tensor gated_activation(Activation f, const at::Tensor& gate_up, const Dropout& dropout, Kernels kernels = Kernels::own);
/// d [N, F] -> gradient of gate_up [N, 2F].
at::Tensor gated_activation_backward(Activation f, const at::Tensor& d, const at::Tensor& gate_up, const Dropout& dropout,
                                     Kernels kernels = Kernels::own);

/// dropout(relu(x)) in place on x [N, F]. `kept` (not null) receives uint8 [N, ceil(F/8)]: bit f % 8 of byte f / 8 is set
/// where the unit is positive and not dropped, which is all that backward needs.
void relu_dropout(at::Tensor& x, const Dropout& dropout, at::Tensor* kept, Kernels kernels = Kernels::own);
/// d [N, F], in place: d * scale where kept, else 0.
void relu_dropout_backward(at::Tensor& d, const Dropout& dropout, const at::Tensor& kept, Kernels kernels = Kernels::own);

}  // namespace dept::kernels
