#include <ATen/TensorOperators.h>
#include <ATen/ops/native_layer_norm.h>
#include <ATen/ops/rsqrt.h>

#include "kernels/operators.h"

namespace dept::kernels::plain {

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, at::ScalarType dtype, NormSaved* saved) {
  const at::Tensor rstd = at::rsqrt((x * x).mean(1) + eps), normalised = x * rstd.unsqueeze(1);
  if (saved != nullptr) *saved = {normalised.to(dtype), rstd};
  return (normalised * weight).to(dtype);
}

void rms_norm_backward(const at::Tensor& dy, const NormSaved& saved, const at::Tensor& weight, at::Tensor& dx) {
  const at::Tensor g = dy.to(dx.scalar_type()) * weight, n = saved.normalised.to(dx.scalar_type());
  dx.add_(saved.rstd.unsqueeze(1) * (g - n * (g * n).mean(1, true)));
}

at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double eps, at::ScalarType dtype,
                      NormSaved* saved) {
  const auto [y, mean, rstd] = at::native_layer_norm(x, {x.size(1)}, weight, bias, eps);
  if (saved != nullptr) *saved = {((x - mean) * rstd).to(dtype), rstd.flatten()};
  return y.to(dtype);
}

void layer_norm_backward(const at::Tensor& dy, const NormSaved& saved, const at::Tensor& weight, at::Tensor& dx) {
  const at::Tensor g = dy.to(dx.scalar_type()) * weight, n = saved.normalised.to(dx.scalar_type());
  dx.add_(saved.rstd.unsqueeze(1) * (g - g.mean(1, true) - n * (g * n).mean(1, true)));
}

}  // namespace dept::kernels::plain
