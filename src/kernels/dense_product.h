// Products with a dense frozen matrix W [out, in], by the faster of the two libraries that LibTorch brings.
#pragma once

#include <ATen/core/Tensor.h>

namespace dept::kernels {

/// x [N, in] -> x W^T + bias [N, out]; bias [out] or undefined. All of one floating type and on one device, as in dense_backward.
at::Tensor dense_forward(const at::Tensor& x, const at::Tensor& w, const at::Tensor& bias);
/// dy [N, out] -> dy W [N, in].
at::Tensor dense_backward(const at::Tensor& dy, const at::Tensor& w);

/// dense_forward by oneDNN, in fp32 on the CPU; w may be a transposed view.
at::Tensor onednn_linear(const at::Tensor& x, const at::Tensor& w, const at::Tensor& bias);

}  // namespace dept::kernels
