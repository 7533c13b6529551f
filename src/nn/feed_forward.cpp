#include "dept/kernels/activation.h"
#include "dept/nn/modules.h"

namespace dept::nn {

using kernels::Activation;

at::Tensor FeedForward::forward(const at::Tensor& x, const kernels::Dropout& dropout, Saved* saved) const {
  at::Tensor units = wi.forward(x);
  if (activation == Activation::relu) {
    kernels::relu_dropout(units, dropout, saved != nullptr ? &saved->kept : nullptr);
    return wo.forward(units);
  }
  if (saved != nullptr) saved->kept = units;
  return wo.forward(kernels::activation(activation, units, dropout));
}

at::Tensor FeedForward::backward(const at::Tensor& d, const kernels::Dropout& dropout, const Saved& saved) const {
  at::Tensor d_units = wo.backward_input(d);
  if (activation == Activation::relu)
    kernels::relu_dropout_backward(d_units, dropout, saved.kept);
  else
    d_units = kernels::activation_backward(activation, d_units, saved.kept, dropout);
  return wi.backward_input(d_units);
}

at::Tensor GatedFeedForward::forward(const at::Tensor& x, const kernels::Dropout& dropout, Saved* saved) const {
  const at::Tensor both = gate_up.forward(x);
  if (saved != nullptr) saved->gate_up = both;
  return down.forward(kernels::gated_activation(activation, both, dropout));
}

at::Tensor GatedFeedForward::backward(const at::Tensor& d, const kernels::Dropout& dropout, const Saved& saved) const {
  return gate_up.backward_input(kernels::gated_activation_backward(activation, down.backward_input(d), saved.gate_up, dropout));
}

}  // namespace dept::nn
