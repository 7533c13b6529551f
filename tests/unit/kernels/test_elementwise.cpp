#include <ATen/ops/cat.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/silu.h>
#include <gtest/gtest.h>

#include <cmath>

#include "dept/kernels/activation.h"
#include "dept/kernels/cross_entropy.h"
#include "dept/kernels/frozen_linear.h"
#include "dept/kernels/rms_norm.h"
#include "dept/kernels/rope.h"
#include "unit/kernels/support.h"

namespace dept::kernels {
namespace {

using test::difference;
using test::leaf;

// Each kernel in fp64, fp32 and bf16 against autograd's fp64.
const std::vector<std::pair<at::ScalarType, double>> precisions = {
    {at::kDouble, 1e-12}, {at::kFloat, 2e-6}, {at::kBFloat16, 2e-2}};
at::ScalarType residual(at::ScalarType dtype) {
  return dtype == at::kDouble ? at::kDouble : at::kFloat;
}

TEST(RmsNorm, EqualsAutograd) {
  at::manual_seed(1);
  const at::Tensor x = leaf({5, 37}), w = at::rand({37}, at::kDouble) + 0.5, dy = at::randn({5, 37}, at::kDouble),
                   before = at::randn({5, 37}, at::kDouble);
  const at::Tensor y = x * at::rsqrt((x * x).mean(-1, true) + 1e-3) * w;
  (y * dy).sum().backward();
  for (const auto& [dtype, tolerance] : precisions) {
    const at::Tensor xs = x.detach().to(residual(dtype)), ws = w.to(residual(dtype));
    at::Tensor rstd, dx = before.to(residual(dtype)).clone();
    EXPECT_LT(difference(rms_norm(xs, ws, 1e-3, dtype, &rstd), y), tolerance);
    rms_norm_backward(dy.to(dtype), xs, ws, rstd, dx);
    EXPECT_LT(difference(dx, before + x.grad()), tolerance);
  }
}

TEST(Swiglu, EqualsAutograd) {
  at::manual_seed(2);
  const at::Tensor gate = leaf({3, 19}), up = leaf({3, 19}), d = at::randn({3, 19}, at::kDouble);
  const at::Tensor y = at::silu(gate * 4) * up;
  (y * d).sum().backward();
  for (const auto& [dtype, tolerance] : precisions) {
    const at::Tensor both = at::cat({gate.detach() * 4, up.detach()}, 1).to(dtype);
    EXPECT_LT(difference(swiglu(both), y), tolerance);
    EXPECT_LT(difference(swiglu_backward(d.to(dtype), both), at::cat({gate.grad() / 4, up.grad()}, 1)), tolerance);
  }
}

TEST(Swiglu, StaysFiniteForLargeGates) {
  const at::Tensor both = at::cat({at::full({1, 2}, -300.0F), at::full({1, 2}, 300.0F)}, 1);
  EXPECT_LT(swiglu(both).abs().max().item<float>(), 1e-30F);
  EXPECT_TRUE(swiglu_backward(at::ones({1, 2}), both).isfinite().all().item<bool>());
}

TEST(Rope, RotatesPairsAndItsInverseUndoesIt) {
  at::manual_seed(3);
  const at::Tensor x = at::randn({4, 2, 6}, at::kDouble), position = at::tensor({0, 1, 5, 1000}, at::kLong);
  const at::Tensor frequency = at::tensor({1.0, 0.1, 0.01}, at::kDouble);
  const RopeAngles angles = rope_angles(position, frequency, at::kDouble);
  at::Tensor y = x.clone();
  rope(y, angles, false);
  for (int64_t n = 0; n < 4; ++n) {
    for (int64_t i = 0; i < 3; ++i) {
      const double angle = position[n].item<double>() * frequency[i].item<double>();
      const double a = x[n][1][i].item<double>(), b = x[n][1][i + 3].item<double>();
      EXPECT_NEAR(y[n][1][i].item<double>(), a * std::cos(angle) - b * std::sin(angle), 1e-12);
      EXPECT_NEAR(y[n][1][i + 3].item<double>(), b * std::cos(angle) + a * std::sin(angle), 1e-12);
    }
  }
  rope(y, angles, true);
  EXPECT_LT(difference(y, x), 1e-14);
}

TEST(CrossEntropy, EqualsLogSoftmaxAndItsGradient) {
  at::manual_seed(4);
  const at::Tensor logits = leaf({6, 101}), labels = at::randint(0, 101, {6}, at::kLong);
  const at::Tensor nll = -at::log_softmax(logits * 5, -1).gather(1, labels.unsqueeze(1)).squeeze(1);
  nll.sum().backward();
  for (const auto& [dtype, tolerance] : {std::pair{at::kDouble, 1e-12}, {at::kFloat, 2e-6}}) {
    at::Tensor d;
    EXPECT_LT(difference(cross_entropy((logits.detach() * 5).to(dtype), labels, &d), nll), tolerance);
    EXPECT_LT(difference(d, logits.grad() / 5), tolerance);
  }
  EXPECT_THROW(cross_entropy(logits.detach(), labels + 101), Error);
}

TEST(FrozenLinear, BackwardInputIsTheTranspose) {
  at::manual_seed(5);
  const at::Tensor w = at::randn({7, 5}, at::kDouble), b = at::randn({7}, at::kDouble), x = leaf({3, 5}),
                   dy = at::randn({3, 7}, at::kDouble);
  const at::Tensor y = at::matmul(x, w.t()) + b;
  (y * dy).sum().backward();
  const FrozenLinear linear(w, b);
  EXPECT_LT(difference(linear.forward(x.detach()), y), 1e-13);
  EXPECT_LT(difference(linear.backward_input(dy), x.grad()), 1e-13);
  EXPECT_THROW(linear.forward(dy), Error);
  EXPECT_THROW(linear.forward(x.detach().to(at::kFloat)), Error);
}

}  // namespace
}  // namespace dept::kernels
