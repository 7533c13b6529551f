#include "dept/kernels/activation.h"

#include "kernels/siblings.h"

namespace dept::kernels {
namespace {

void check_units(const at::Tensor& x, const Dropout& dropout, std::string_view where) {
  expect(x.dim() == 2 && x.is_contiguous(), where, "contiguous [N, F]", x);
  expect_compute_type(x, where);
  expect_rows(dropout, x.size(0), where);
}

// d [N, F] beside x, which forward took.
void check_gradient(const at::Tensor& d, const at::Tensor& x, int64_t units, std::string_view where) {
  expect(d.is_contiguous() && d.sizes() == at::IntArrayRef({x.size(0), units}) && d.scalar_type() == x.scalar_type(), where,
         dept::str("contiguous ", x.scalar_type(), " [", x.size(0), ", ", units, "]"), d);
}

void check_gated(const at::Tensor& gate_up, const Dropout& dropout, std::string_view where) {
  expect(gate_up.dim() == 2 && gate_up.size(1) % 2 == 0 && gate_up.is_contiguous(), where, "contiguous [N, 2F]", gate_up);
  expect_compute_type(gate_up, where);
  expect_rows(dropout, gate_up.size(0), where);
}

}  // namespace

at::Tensor activation(Activation f, const at::Tensor& x, const Dropout& dropout, Kernels kernels) {
  check_units(x, dropout, "activation");
  return choose(x.device(), kernels, cpu::activation, plain::activation)(f, x, dropout);
}

at::Tensor activation_backward(Activation f, const at::Tensor& d, const at::Tensor& x, const Dropout& dropout, Kernels kernels) {
  constexpr std::string_view where = "activation_backward";
  check_units(x, dropout, where);
  check_gradient(d, x, x.size(1), where);
  return choose(common_device(where, x, d), kernels, cpu::activation_backward, plain::activation_backward)(f, d, x, dropout);
}

at::Tensor gated_activation(Activation f, const at::Tensor& gate_up, const Dropout& dropout, Kernels kernels) {
  check_gated(gate_up, dropout, "gated_activation");
  return choose(gate_up.device(), kernels, cpu::gated_activation, plain::gated_activation)(f, gate_up, dropout);
}

at::Tensor gated_activation_backward(Activation f, const at::Tensor& d, const at::Tensor& gate_up, const Dropout& dropout,
                                     Kernels kernels) {
  constexpr std::string_view where = "gated_activation_backward";
  check_gated(gate_up, dropout, where);
  check_gradient(d, gate_up, gate_up.size(1) / 2, where);
  return choose(common_device(where, gate_up, d), kernels, cpu::gated_activation_backward, plain::gated_activation_backward)(
      f, d, gate_up, dropout);
}

void relu_dropout(at::Tensor& x, const Dropout& dropout, at::Tensor* kept, Kernels kernels) {
  check_units(x, dropout, "relu_dropout");
  choose(x.device(), kernels, cpu::relu_dropout, plain::relu_dropout, DEPT_CUDA_KERNEL(relu_dropout))(x, dropout, kept);
}

void relu_dropout_backward(at::Tensor& d, const Dropout& dropout, const at::Tensor& kept, Kernels kernels) {
  constexpr std::string_view where = "relu_dropout_backward";
  check_units(d, dropout, where);
  expect(kept.is_contiguous() && kept.scalar_type() == at::kByte &&
             kept.sizes() == at::IntArrayRef({d.size(0), (d.size(1) + 7) / 8}),
         where, dept::str("kept uint8 [", d.size(0), ", ", (d.size(1) + 7) / 8, "]"), kept);
  choose(common_device(where, d, kept), kernels, cpu::relu_dropout_backward, plain::relu_dropout_backward,
         DEPT_CUDA_KERNEL(relu_dropout_backward))(d, dropout, kept);
}

}  // namespace dept::kernels
