#include <ATen/ops/zeros.h>

#include "dept/kernels/layer_norm.h"
#include "dept/nn/modules.h"

namespace dept::nn {

at::Tensor RmsNorm::forward(const at::Tensor& x, at::ScalarType dtype, Saved* saved) const {
  return kernels::rms_norm(x, weight, eps, dtype, saved, kernels);
}

void RmsNorm::backward(const at::Tensor& dy, const Saved& saved, at::Tensor& dx) const {
  kernels::rms_norm_backward(dy, kernels::opened(saved, dy.scalar_type()), weight, dx, kernels);
}

at::Tensor LayerNorm::forward(const at::Tensor& x, at::ScalarType dtype, Saved* saved) const {
  return kernels::layer_norm(x, weight, bias, eps, dtype, saved, kernels);
}

void LayerNorm::backward(const at::Tensor& dy, const Saved& saved, at::Tensor& dx) const {
  kernels::layer_norm_backward(dy, kernels::opened(saved, dy.scalar_type()), weight, dx, kernels);
}

at::Tensor LayerNorm::backward(const at::Tensor& dy, const Saved& saved) const {
  at::Tensor dx = at::zeros(saved.normalised.sizes(), weight.options());
  backward(dy, saved, dx);
  return dx;
}

}  // namespace dept::nn
