// Products of 8-bit weights against the same whole numbers multiplied one by one.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/round.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "dept/tensor/context.h"
#include "kernels/cpu/int8_matrix.h"

namespace dept::kernels {
namespace {

at::Tensor random(at::IntArrayRef shape, uint64_t seed) {
  return at::randn(shape, at::detail::createCPUGenerator(seed), at::TensorOptions(at::kFloat));
}

// Rows as whole numbers up to 127 and their scales [rows, 1].
std::pair<at::Tensor, at::Tensor> quantised(const at::Tensor& x) {
  const at::Tensor scale = x.abs().amax(1, true) / 127;
  return {at::round(x / scale.clamp_min(1e-30)).to(at::kDouble), scale.to(at::kDouble)};
}

at::Tensor product(const at::Tensor& a, const PackedMatrix& b) {
  at::Tensor out = at::zeros({a.size(0), b.n}, at::TensorOptions(at::kFloat));
  multiply(a.const_data_ptr<c10::BFloat16>(), a.size(0), a.stride(0), b, [&](const Tile& tile) {
    for (int64_t r = 0; r < tile.rows; ++r)
      std::copy_n(tile.at(r), tile.columns, out.mutable_data_ptr<float>() + (tile.row + r) * b.n + tile.column);
  });
  return out;
}

double distance(const at::Tensor& x, const at::Tensor& y) {
  const auto norm = [](const at::Tensor& t) { return at::linalg_vector_norm(t.to(at::kDouble)).item<double>(); };
  return norm(x.to(at::kDouble) - y.to(at::kDouble)) / norm(y);
}

// A rounding may fall the other way where the scale's last bit differs, hence not zero.
constexpr double scale_rounding = 2e-3, eight_bits = 2e-2;

TEST(Int8Matrix, MultipliesWholeNumbers) {
  if (!cpu_has_int8()) GTEST_SKIP() << "no AVX512-VNNI";
  for (const int64_t rows : {1, 5, 16, 63, 130, 300}) {
    const at::Tensor w = random({96, 160}, 1), x = random({rows, 160}, 2).to(at::kBFloat16);
    const auto [whole_w, scale_w] = quantised(w);
    const auto [whole_x, scale_x] = quantised(x.to(at::kFloat));
    const at::Tensor expected = at::matmul(whole_x, whole_w.t()) * scale_x * scale_w.t();
    const at::Tensor y = product(x, quantise_transposed(w));
    EXPECT_LT(distance(y, expected), scale_rounding) << rows;
    EXPECT_LT(distance(y, at::matmul(x.to(at::kFloat), w.t())), eight_bits) << rows;
  }
}

TEST(Int8Matrix, MultipliesItsTranspose) {
  if (!cpu_has_int8()) GTEST_SKIP() << "no AVX512-VNNI";
  for (const int64_t rows : {1, 40, 200}) {
    const at::Tensor w = random({96, 160}, 3) * random({96, 1}, 4), dy = random({rows, 96}, 5).to(at::kBFloat16);
    const auto [whole_w, scale_w] = quantised(w);
    const auto [whole_dy, scale_dy] = quantised(dy.to(at::kFloat) * scale_w.t().to(at::kFloat));
    const at::Tensor expected = at::matmul(whole_dy, whole_w) * scale_dy;
    const at::Tensor dx = product(dy, transposed(quantise_transposed(w)));
    EXPECT_LT(distance(dx, expected), scale_rounding) << rows;
    EXPECT_LT(distance(dx, at::matmul(dy.to(at::kFloat), w)), eight_bits) << rows;
  }
}

TEST(Int8Matrix, ComesBack) {
  if (!cpu_has_int8()) GTEST_SKIP() << "no AVX512-VNNI";
  const at::Tensor w = random({64, 96}, 6);
  const auto [whole, scale] = quantised(w);
  EXPECT_LT(distance(unpacked(quantise_transposed(w)), whole * scale), 4e-3);  // of bf16
}

// A row of zeros has no scale to divide by.
TEST(Int8Matrix, ZerosStayZero) {
  if (!cpu_has_int8()) GTEST_SKIP() << "no AVX512-VNNI";
  at::Tensor w = random({64, 64}, 7), x = random({4, 64}, 8).to(at::kBFloat16);
  w[3].zero_();
  x[2].zero_();
  const at::Tensor y = product(x, quantise_transposed(w));
  EXPECT_EQ(y[2].abs().max().item<float>(), 0);
  EXPECT_EQ(y.select(1, 3).abs().max().item<float>(), 0);
  EXPECT_TRUE(y.isfinite().all().item<bool>());
}

}  // namespace
}  // namespace dept::kernels
