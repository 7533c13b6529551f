// The non-linear middles of feed-forward blocks, with the backward that keeps least.
#pragma once

#include <ATen/core/Tensor.h>

#include "dept/kernels/dropout.h"

namespace dept::kernels {

/// SwiGLU (Shazeer 2020): silu(gate) * up. gate_up [N, 2F] (gate first) -> [N, F]; fp32, bf16 or fp64.
at::Tensor swiglu(const at::Tensor& gate_up);
/// d [N, F] -> gradient of gate_up [N, 2F].
at::Tensor swiglu_backward(const at::Tensor& d, const at::Tensor& gate_up);

/// dropout(relu(x)) in place on x [N, F]. `kept` (not null) receives uint8 [N, ceil(F/8)]: bit f % 8 of byte f / 8 is set
/// where the unit is positive and not dropped, which is all that backward needs.
void relu_dropout(at::Tensor& x, const Dropout& dropout, at::Tensor* kept);
/// d [N, F], in place: d * scale where kept, else 0.
void relu_dropout_backward(at::Tensor& d, const Dropout& dropout, const at::Tensor& kept);

}  // namespace dept::kernels
