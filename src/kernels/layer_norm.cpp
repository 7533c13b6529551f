#include "dept/kernels/layer_norm.h"

#include "kernels/siblings.h"

namespace dept::kernels {
namespace {

void check(const at::Tensor& x, const at::Tensor& vector, std::string_view name) {
  expect(x.dim() == 2 && x.is_contiguous() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kDouble), "layer_norm",
         "x as contiguous fp32 or fp64 [N, D]", x);
  expect(vector.dim() == 1 && vector.size(0) == x.size(1) && vector.is_contiguous() && vector.scalar_type() == x.scalar_type(),
         "layer_norm", dept::str(name, " [D] of x's dtype"), vector);
}

void check_branch(at::ScalarType branch, std::string_view where, const at::Tensor& x) {
  const bool known = branch == at::kFloat || branch == at::kBFloat16 || branch == at::kDouble;
  expect(known && (branch == at::kDouble) == (x.scalar_type() == at::kDouble), where,
         dept::str("x of the arithmetic type of a branch in ", branch), x);
}

}  // namespace

at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double eps, at::ScalarType dtype,
                      NormSaved* saved, Kernels kernels) {
  check(x, weight, "weight");
  check(x, bias, "bias");
  check_branch(dtype, "layer_norm", x);
  return choose(common_device("layer_norm", x, weight, bias), kernels, cpu::layer_norm, plain::layer_norm)(x, weight, bias, eps,
                                                                                                           dtype, saved);
}

void layer_norm_backward(const at::Tensor& dy, const NormSaved& saved, const at::Tensor& weight, at::Tensor& dx,
                         Kernels kernels) {
  constexpr std::string_view where = "layer_norm_backward";
  const at::Tensor &normalised = saved.normalised, &rstd = saved.rstd;
  check(dx, weight, "weight");
  check_branch(dy.scalar_type(), where, dx);
  expect(dy.sizes() == dx.sizes() && dy.is_contiguous(), where, "dy shaped like dx", dy);
  expect(normalised.sizes() == dx.sizes() && normalised.is_contiguous() && normalised.scalar_type() == dy.scalar_type(), where,
         "normalised like dy", normalised);
  expect(rstd.sizes() == at::IntArrayRef({dx.size(0)}) && rstd.is_contiguous() && rstd.scalar_type() == dx.scalar_type(), where,
         "rstd [N] of dx's dtype", rstd);
  choose(common_device(where, dx, dy, weight, normalised, rstd), kernels, cpu::layer_norm_backward, plain::layer_norm_backward)(
      dy, saved, weight, dx);
}

}  // namespace dept::kernels
