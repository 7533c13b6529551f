#include "dept/kernels/activation.h"
#include "dept/nn/modules.h"

namespace dept::nn {

at::Tensor FeedForward::forward(const at::Tensor& x, const kernels::Dropout& dropout, Saved* saved) const {
  at::Tensor units = wi.forward(x);
  if (keeps_bits()) {
    kernels::relu_dropout(units, dropout, saved != nullptr ? &saved->kept : nullptr);
    return wo.forward(units);
  }
  if (saved != nullptr) saved->kept = units;
  return wo.forward(gated ? kernels::gated_activation(activation, units, dropout)
                          : kernels::activation(activation, units, dropout));
}

at::Tensor FeedForward::backward(const at::Tensor& d, const kernels::Dropout& dropout, const Saved& saved) const {
  at::Tensor d_units = wo.backward_input(d);
  if (keeps_bits())
    kernels::relu_dropout_backward(d_units, dropout, saved.kept);
  else
    d_units = gated ? kernels::gated_activation_backward(activation, d_units, saved.kept, dropout)
                    : kernels::activation_backward(activation, d_units, saved.kept, dropout);
  return wi.backward_input(d_units);
}

}  // namespace dept::nn
