// The CUDA kernels against their CPU siblings.
#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/max.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include "dept/kernels/rms_norm.h"

namespace dept::kernels {
namespace {

struct Case {
  at::ScalarType residual, branch;
  double tolerance;  // of the largest value
};

double distance(const at::Tensor& on_gpu, const at::Tensor& on_cpu) {
  const at::Tensor a = on_gpu.cpu().to(at::kDouble), b = on_cpu.to(at::kDouble);
  return (a - b).abs().max().item<double>() / b.abs().max().item<double>();
}

class RmsNormOnGpu : public testing::TestWithParam<Case> {};

TEST_P(RmsNormOnGpu, EqualsTheCpu) {
  const auto [residual, branch, tolerance] = GetParam();
  const at::Tensor x = at::randn({37, 576}, at::kDouble).to(residual), weight = at::randn({576}, at::kDouble).to(residual);
  const at::Tensor dy = at::randn({37, 576}, at::kDouble).to(branch);
  RmsNormSaved saved, gpu_saved;
  at::Tensor dx = at::randn({37, 576}, at::kDouble).to(residual), gpu_dx = dx.cuda();
  const at::Tensor y = rms_norm(x, weight, 1e-5, branch, &saved);
  const at::Tensor gpu_y = rms_norm(x.cuda(), weight.cuda(), 1e-5, branch, &gpu_saved);
  rms_norm_backward(dy, saved, weight, dx);
  rms_norm_backward(dy.cuda(), gpu_saved, weight.cuda(), gpu_dx);
  EXPECT_EQ(gpu_y.scalar_type(), branch);
  EXPECT_LT(distance(gpu_y, y), tolerance);
  EXPECT_LT(distance(gpu_saved.normalised, saved.normalised), tolerance);
  EXPECT_LT(distance(gpu_saved.rstd, saved.rstd), 1e-6);
  EXPECT_LT(distance(gpu_dx, dx), tolerance);
}

INSTANTIATE_TEST_SUITE_P(Types, RmsNormOnGpu,
                         testing::Values(Case{at::kFloat, at::kFloat, 1e-5}, Case{at::kFloat, at::kBFloat16, 1e-2},
                                         Case{at::kDouble, at::kDouble, 1e-12}));

}  // namespace
}  // namespace dept::kernels
