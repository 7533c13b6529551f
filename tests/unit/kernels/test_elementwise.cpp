#include <ATen/ops/argmax.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/silu.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "dept/kernels/activation.h"
#include "dept/kernels/argmax.h"
#include "dept/kernels/cross_entropy.h"
#include "dept/kernels/frozen_linear.h"
#include "dept/kernels/layer_norm.h"
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

TEST(Argmax, FindsTheFirstOfTheLargest) {
  at::manual_seed(11);
  for (const int64_t columns : {1, 15, 16, 1001}) {
    at::Tensor logits = at::randint(-9, 9, {70, columns}, at::kFloat);
    logits[3].fill_(-INFINITY);
    const at::Tensor places = kernels::argmax(logits);
    for (int64_t r = 0; r < logits.size(0); ++r) {
      const float* row = logits.const_data_ptr<float>() + r * columns;
      EXPECT_EQ(places[r].item<int64_t>(), std::max_element(row, row + columns) - row);
    }
    EXPECT_TRUE(kernels::argmax(logits.to(at::kDouble)).equal(at::argmax(logits.to(at::kDouble), 1)));
  }
  EXPECT_EQ(kernels::argmax(at::full({1, 40}, NAN, at::kFloat)).item<int64_t>(), 0);
  EXPECT_THROW(kernels::argmax(at::randn({4})), Error);
}

TEST(RmsNorm, EqualsAutograd) {
  at::manual_seed(1);
  const at::Tensor x = leaf({5, 37}), w = at::rand({37}, at::kDouble) + 0.5, dy = at::randn({5, 37}, at::kDouble),
                   before = at::randn({5, 37}, at::kDouble);
  const at::Tensor y = x * at::rsqrt((x * x).mean(-1, true) + 1e-3) * w;
  (y * dy).sum().backward();
  for (const auto& [dtype, tolerance] : precisions) {
    const at::Tensor xs = x.detach().to(residual(dtype)), ws = w.to(residual(dtype));
    at::Tensor dx = before.to(residual(dtype)).clone();
    NormSaved saved;
    EXPECT_LT(difference(rms_norm(xs, ws, 1e-3, dtype, &saved), y), tolerance);
    rms_norm_backward(dy.to(dtype), saved, ws, dx);
    EXPECT_LT(difference(dx, before + x.grad()), tolerance);
  }
}

TEST(LayerNorm, EqualsAutograd) {
  at::manual_seed(6);
  const at::Tensor x = leaf({5, 37}), w = at::rand({37}, at::kDouble) + 0.5, b = at::randn({37}, at::kDouble),
                   dy = at::randn({5, 37}, at::kDouble), before = at::randn({5, 37}, at::kDouble);
  const at::Tensor y = at::layer_norm(x * 2 + 3, {37}, w, b, 1e-3);
  (y * dy).sum().backward();
  for (const auto& [dtype, tolerance] : precisions) {
    const at::ScalarType type = residual(dtype);
    const at::Tensor xs = (x.detach() * 2 + 3).to(type), ws = w.to(type), bs = b.to(type);
    at::Tensor dx = before.to(type).clone();
    NormSaved saved;
    EXPECT_LT(difference(layer_norm(xs, ws, bs, 1e-3, dtype, &saved), y), tolerance);
    EXPECT_EQ(layer_norm(xs, ws, bs, 1e-3, type, nullptr).scalar_type(), type);
    layer_norm_backward(dy.to(dtype), saved, ws, dx);
    EXPECT_LT(difference(dx, before + x.grad() / 2), tolerance);
  }
  EXPECT_THROW(layer_norm(x.detach(), w, b, 1e-3, at::kFloat, nullptr), Error);
  EXPECT_THROW(layer_norm(x.detach(), w, b.slice(0, 1), 1e-3, at::kDouble, nullptr), Error);
}

// A constant row: the variance is 0, eps alone keeps it finite.
TEST(LayerNorm, OfAConstantRowIsTheBias) {
  const at::Tensor x = at::full({2, 8}, 1e4F), w = at::ones({8}), b = at::full({8}, 0.25F);
  at::Tensor dx = at::zeros({2, 8});
  NormSaved saved;
  EXPECT_LT(difference(layer_norm(x, w, b, 1e-5, at::kFloat, &saved), at::full({2, 8}, 0.25F)), 1e-6);
  layer_norm_backward(at::ones({2, 8}), saved, w, dx);
  EXPECT_TRUE(dx.isfinite().all().item<bool>());
}

const std::vector<std::pair<Activation, at::Tensor (*)(const at::Tensor&)>> activations = {
    {Activation::relu, [](const at::Tensor& x) { return at::relu(x); }},
    {Activation::gelu, [](const at::Tensor& x) { return at::gelu(x); }},
    {Activation::gelu_new, [](const at::Tensor& x) { return at::gelu(x, "tanh"); }},
    {Activation::silu, [](const at::Tensor& x) { return at::silu(x); }}};

TEST(Activation, EqualsAutograd) {
  at::manual_seed(2);
  for (const auto& [f, reference] : activations) {
    const at::Tensor x = leaf({3, 19}), d = at::randn({3, 19}, at::kDouble);
    for (const auto& [dtype, tolerance] : precisions) {
      const at::Tensor rounded = (x.detach() * 3).to(dtype), exact = rounded.to(at::kDouble).requires_grad_();
      const at::Tensor y = reference(exact);
      (y * d).sum().backward();
      EXPECT_LT(difference(activation(f, rounded, {}), y), tolerance) << static_cast<int>(f);
      EXPECT_LT(difference(activation_backward(f, d.to(dtype), rounded, {}), exact.grad()), tolerance) << static_cast<int>(f);
    }
  }
}

TEST(Activation, GatedEqualsAutograd) {
  at::manual_seed(2);
  for (const auto& [f, reference] : activations) {
    const at::Tensor gate = leaf({3, 19}), up = leaf({3, 19}), d = at::randn({3, 19}, at::kDouble);
    for (const auto& [dtype, tolerance] : precisions) {
      const at::Tensor rounded = at::cat({gate.detach() * 4, up.detach()}, 1).to(dtype);
      const at::Tensor exact = rounded.to(at::kDouble).requires_grad_();
      const at::Tensor y = reference(exact.slice(1, 0, 19)) * exact.slice(1, 19);
      (y * d).sum().backward();
      EXPECT_LT(difference(gated_activation(f, rounded, {}), y), tolerance) << static_cast<int>(f);
      EXPECT_LT(difference(gated_activation_backward(f, d.to(dtype), rounded, {}), exact.grad()), tolerance)
          << static_cast<int>(f);
    }
  }
}

TEST(Activation, StaysFiniteForLargeInputs) {
  for (const auto& [f, reference] : activations) {
    const at::Tensor x = at::tensor({-1e4F, -300.0F, -20.0F, 0.0F, 20.0F, 300.0F, 1e4F}).reshape({1, 7});
    EXPECT_LT(difference(activation(f, x, {}), reference(x)), 1e-6) << static_cast<int>(f);
    const at::Tensor slope = activation_backward(f, at::ones({1, 7}), x, {}), wanted = (x > 0).to(at::kFloat);
    EXPECT_LT((slope - wanted).abs().slice(1, 0, 3).max().item<float>(), 1e-6F) << static_cast<int>(f);
    EXPECT_LT((slope - wanted).abs().slice(1, 4).max().item<float>(), 1e-6F) << static_cast<int>(f);
  }
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
