#include "dept/kernels/activation.h"
#include "dept/nn/modules.h"

namespace dept::nn {

using kernels::Activation;

at::Tensor FeedForward::units(const at::Tensor& x, const kernels::Dropout& dropout, Saved* saved) const {
  at::Tensor* kept = saved != nullptr ? &saved->kept : nullptr;
  if (wi.fuses(form(), wo)) return wi.forward_units(x, form(), dropout, kept);
  at::Tensor inner = wi.forward(x);
  if (activation == Activation::relu && !gated) {
    kernels::relu_dropout(inner, dropout, kept, wi.kernels());
    return inner;
  }
  if (kept != nullptr) *kept = inner;
  return gated ? kernels::gated_activation(activation, inner, dropout, wi.kernels())
               : kernels::activation(activation, inner, dropout, wi.kernels());
}

at::Tensor FeedForward::backward_units(const at::Tensor& d, const kernels::Dropout& dropout, const Saved& saved) const {
  if (wi.fuses(form(), wo)) return wo.backward_units(d, form(), dropout, saved.kept);
  at::Tensor d_units = wo.backward_input(d);
  if (activation == Activation::relu && !gated) {
    kernels::relu_dropout_backward(d_units, dropout, saved.kept, wi.kernels());
    return d_units;
  }
  return gated ? kernels::gated_activation_backward(activation, d_units, saved.kept, dropout, wi.kernels())
               : kernels::activation_backward(activation, d_units, saved.kept, dropout, wi.kernels());
}

}  // namespace dept::nn
