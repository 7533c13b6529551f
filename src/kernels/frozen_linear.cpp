#include "dept/kernels/frozen_linear.h"

#include "kernels/simd.h"

namespace dept::kernels {

FrozenLinear::FrozenLinear(FrozenMatrix weight, at::Tensor bias) : weight_(std::move(weight)), bias_(std::move(bias)) {}

at::Tensor FrozenLinear::forward(const at::Tensor& x) const {
  expect(x.dim() == 2 && x.size(1) == in() && x.scalar_type() == dtype(), "FrozenLinear.forward",
         dept::str(dtype(), " [N, ", in(), "]"), x);
  at::Tensor y = weight_.forward(x, bias_);
  if (delta != nullptr) delta->add_forward(x, y);
  return y;
}

at::Tensor FrozenLinear::backward_input(const at::Tensor& dy) const {
  expect(dy.dim() == 2 && dy.size(1) == out() && dy.scalar_type() == dtype(), "FrozenLinear.backward_input",
         dept::str(dtype(), " [N, ", out(), "]"), dy);
  at::Tensor dx = weight_.backward_input(dy);
  if (delta != nullptr) delta->add_backward_input(dy, dx);
  return dx;
}

}  // namespace dept::kernels
