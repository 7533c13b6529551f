#include "dept/kernels/dropout.h"

#include "kernels/siblings.h"

namespace dept::kernels {

Dropout::Dropout(const Call& call, const Ragged& tokens, double probability, int64_t layer, Site site) {
  if (!call.training || probability <= 0) return;
  p = probability;
  first_token = tokens.offsets;
  skipped = tokens.skipped;
  part = tokens.part;
  for (int64_t b = 0; b < tokens.batch(); ++b)
    streams.emplace_back(call.seeds.at(tokens.config[b]), call.micro_step, tokens.example[b], layer, site);
}

namespace {

void check_rows(const at::Tensor& x, const Dropout& dropout, std::string_view where) {
  expect(x.dim() == 2 && x.is_contiguous(), where, "contiguous [N, D]", x);
  expect_compute_type(x, where);
  expect_rows(dropout, x.size(0), where);
}

}  // namespace

at::Tensor add_dropout(const at::Tensor& x, const at::Tensor& branch, const Dropout& dropout, Kernels kernels) {
  check_rows(branch, dropout, "add_dropout");
  expect(x.is_contiguous() && x.sizes() == branch.sizes() && x.scalar_type() == arithmetic_type(branch.scalar_type()),
         "add_dropout", "x shaped like the branch, in its arithmetic type", x);
  const at::Device device = common_device("add_dropout", x, branch);
  return choose(device, kernels, cpu::add_dropout, plain::add_dropout, DEPT_CUDA_KERNEL(add_dropout))(x, branch, dropout);
}

at::Tensor add_dropout_backward(const at::Tensor& d, const Dropout& dropout, at::ScalarType dtype, Kernels kernels) {
  check_rows(d, dropout, "add_dropout_backward");
  expect(d.scalar_type() == arithmetic_type(dtype), "add_dropout_backward", dept::str("d in the arithmetic type of ", dtype), d);
  if (!dropout) return d.to(dtype);
  return choose(d.device(), kernels, cpu::drop, plain::drop, DEPT_CUDA_KERNEL(drop))(d, dropout, dtype);
}

at::Tensor apply_dropout(const at::Tensor& x, const Dropout& dropout, Kernels kernels) {
  if (!dropout) return x;
  check_rows(x, dropout, "apply_dropout");
  return choose(x.device(), kernels, cpu::drop, plain::drop, DEPT_CUDA_KERNEL(drop))(x, dropout, x.scalar_type());
}

}  // namespace dept::kernels
