#include "dept/kernels/rms_norm.h"

#include "kernels/siblings.h"

namespace dept::kernels {
namespace {

void check(const at::Tensor& x, const at::Tensor& weight, at::ScalarType branch, std::string_view where) {
  const bool known = branch == at::kFloat || branch == at::kBFloat16 || branch == at::kDouble;
  expect(known && x.scalar_type() == arithmetic_type(branch), where,
         dept::str("the residual in the arithmetic type of a branch in ", branch == at::kDouble ? "fp64" : "fp32 or bf16"), x);
  expect(x.dim() == 2 && x.is_contiguous(), where, "a contiguous residual [N, D]", x);
  expect(weight.dim() == 1 && weight.size(0) == x.size(1) && weight.is_contiguous() && weight.scalar_type() == x.scalar_type(),
         where, "weight [D] of the residual's dtype", weight);
}

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, at::ScalarType dtype, NormSaved* saved,
                    Kernels kernels) {
  check(x, weight, dtype, "rms_norm");
  const at::Device device = common_device("rms_norm", x, weight);
  return choose(device, kernels, cpu::rms_norm, plain::rms_norm, DEPT_CUDA_KERNEL(rms_norm))(x, weight, eps, dtype, saved);
}

void rms_norm_backward(const at::Tensor& dy, const NormSaved& saved, const at::Tensor& weight, at::Tensor& dx, Kernels kernels) {
  constexpr std::string_view where = "rms_norm_backward";
  check(dx, weight, dy.scalar_type(), where);
  expect(dy.sizes() == dx.sizes() && dy.is_contiguous(), where, "dy shaped like dx", dy);
  const at::Tensor &normalised = saved.normalised, &rstd = saved.rstd;
  expect(normalised.sizes() == dx.sizes() && normalised.is_contiguous() && normalised.scalar_type() == dy.scalar_type(), where,
         "normalised like dy", normalised);
  expect(rstd.sizes() == at::IntArrayRef({dx.size(0)}) && rstd.is_contiguous() && rstd.scalar_type() == dx.scalar_type(), where,
         "rstd [N] of dx's dtype", rstd);
  const at::Device device = common_device(where, dx, dy, normalised, rstd, weight);
  choose(device, kernels, cpu::rms_norm_backward, plain::rms_norm_backward, DEPT_CUDA_KERNEL(rms_norm_backward))(dy, saved,
                                                                                                                 weight, dx);
}

}  // namespace dept::kernels
