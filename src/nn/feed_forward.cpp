#include "dept/kernels/rms_norm.h"
#include "dept/nn/modules.h"

namespace dept::nn {

at::Tensor RmsNorm::forward(const at::Tensor& x, at::ScalarType dtype, Saved* saved) const {
  at::Tensor rstd;
  at::Tensor y = kernels::rms_norm(x, weight, eps, dtype, &rstd);
  if (saved != nullptr) *saved = {x, rstd};
  return y;
}

void RmsNorm::backward(const at::Tensor& dy, const Saved& saved, at::Tensor& dx) const {
  kernels::rms_norm_backward(dy, saved.x, weight, saved.rstd, dx);
}

at::Tensor SwiGlu::forward(const at::Tensor& x, Saved* saved) const {
  const at::Tensor both = gate_up.forward(x);
  if (saved != nullptr) saved->gate_up = both;
  return down.forward(kernels::swiglu(both));
}

at::Tensor SwiGlu::backward(const at::Tensor& d, const Saved& saved) const {
  return gate_up.backward_input(kernels::swiglu_backward(down.backward_input(d), saved.gate_up));
}

at::Tensor ReluFeedForward::forward(const at::Tensor& x, const kernels::Dropout& dropout, Saved* saved) const {
  at::Tensor units = wi.forward(x);
  kernels::relu_dropout(units, dropout, saved != nullptr ? &saved->kept : nullptr);
  return wo.forward(units);
}

at::Tensor ReluFeedForward::backward(const at::Tensor& d, const kernels::Dropout& dropout, const Saved& saved) const {
  at::Tensor d_units = wo.backward_input(d);
  kernels::relu_dropout_backward(d_units, dropout, saved.kept);
  return wi.backward_input(d_units);
}

}  // namespace dept::nn
