#include "dept/kernels/activation.h"
#include "dept/nn/modules.h"

namespace dept::nn {

at::Tensor FeedForward::units(const at::Tensor& x, const kernels::Dropout& dropout, Saved* saved) const {
  if (keeps_bits()) return wi.forward_relu(x, dropout, saved != nullptr ? &saved->kept : nullptr);
  const at::Tensor inner = wi.forward(x);
  if (saved != nullptr) saved->kept = inner;
  return gated ? kernels::gated_activation(activation, inner, dropout, wi.kernels())
               : kernels::activation(activation, inner, dropout, wi.kernels());
}

at::Tensor FeedForward::backward(const at::Tensor& d, const kernels::Dropout& dropout, const Saved& saved) const {
  if (keeps_bits()) return wi.backward_input(wo.backward_relu(d, dropout, saved.kept));
  const at::Tensor d_units = wo.backward_input(d);
  return wi.backward_input(gated ? kernels::gated_activation_backward(activation, d_units, saved.kept, dropout, wi.kernels())
                                 : kernels::activation_backward(activation, d_units, saved.kept, dropout, wi.kernels()));
}

}  // namespace dept::nn
