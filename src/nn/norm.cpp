#include <ATen/ops/zeros_like.h>

#include "dept/kernels/layer_norm.h"
#include "dept/nn/modules.h"

namespace dept::nn {

at::Tensor RmsNorm::forward(const at::Tensor& x, at::ScalarType dtype, Saved* saved) const {
  return kernels::rms_norm(x, weight, eps, dtype, saved, kernels);
}

void RmsNorm::backward(const at::Tensor& dy, const Saved& saved, at::Tensor& dx) const {
  kernels::rms_norm_backward(dy, saved, weight, dx, kernels);
}

at::Tensor LayerNorm::forward(const at::Tensor& x, at::ScalarType dtype, Saved* saved) const {
  at::Tensor statistics;
  at::Tensor y = kernels::layer_norm(x, weight, bias, eps, dtype, &statistics, kernels);
  if (saved != nullptr) *saved = {x, statistics};
  return y;
}

void LayerNorm::backward(const at::Tensor& dy, const Saved& saved, at::Tensor& dx) const {
  kernels::layer_norm_backward(dy, saved.x, weight, saved.statistics, dx, kernels);
}

at::Tensor LayerNorm::backward(const at::Tensor& dy, const Saved& saved) const {
  at::Tensor dx = at::zeros_like(saved.x);
  backward(dy, saved, dx);
  return dx;
}

}  // namespace dept::nn
