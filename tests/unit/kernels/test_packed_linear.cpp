#include <ATen/ops/equal.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include "dept/kernels/activation.h"
#include "dept/kernels/frozen_linear.h"
#include "kernels/cpu/packed_linear.h"
#include "unit/kernels/support.h"

namespace dept::kernels {
namespace {

using test::difference;

constexpr double rounding = 1.0 / 256;  // of one bf16 number

at::Tensor bf16(at::IntArrayRef shape) {
  return at::randn(shape).to(at::kBFloat16);
}
at::Tensor wide(const at::Tensor& x) {
  return x.to(at::kDouble);
}

// Sizes around the edges of tiles, blocks of rows and panels.
class Packed : public testing::TestWithParam<std::tuple<int64_t, int64_t, int64_t>> {
 protected:
  void SetUp() override {
    if (!has_packed_products()) GTEST_SKIP() << "this CPU has no such products";
    at::manual_seed(7);
    const auto [n, in, out] = GetParam();
    x = bf16({n, in});
    w = bf16({out, in});
    bias = bf16({out});
    dy = bf16({n, out});
    layer = FrozenLinear(FrozenMatrix(w), bias);
    call = test::training_call();
    tokens = test::ragged({n / 3, 0, n - n / 3});
    dropout = Dropout(call, tokens, 0.3, 2, Site::feed_forward_inner);
    of_some_tokens = Dropout(call, test::some_tokens(n), 0.3, 2, Site::feed_forward_inner);
  }
  at::Tensor product() const { return at::matmul(wide(x), wide(w).t()) + wide(bias); }

  at::Tensor x, w, bias, dy;
  FrozenLinear layer;
  Call call;
  Ragged tokens;
  Dropout dropout, of_some_tokens;
};

TEST_P(Packed, KeepsTheWeight) {
  EXPECT_TRUE(at::equal(layer.weight(), w));
  EXPECT_TRUE(at::equal(unpacked(transposed(pack_transposed(w))), w.t().contiguous()));
}

TEST_P(Packed, ForwardAndBackwardAreTheProducts) {
  EXPECT_LT(difference(layer.forward(x), product()), rounding);
  EXPECT_LT(difference(layer.backward_input(dy), at::matmul(wide(dy), wide(w))), rounding);
}

// Heads of 32 rows are packed, those of 16 are not.
TEST_P(Packed, HeadsByThemselvesAreTheProducts) {
  const int64_t n = x.size(0), in = w.size(1);
  for (const int64_t width : {32, 16}) {
    const HeadRows rows{w.size(0) > 64 ? 32 : 0, w.size(0) > 64 ? 2 : 1, width};
    const at::Tensor whole = bf16({n, rows.heads * in}), narrow = bf16({n, rows.heads * width});
    const at::Tensor forward = layer.forward_heads(whole, rows), backward = layer.backward_heads(narrow, rows);
    for (int64_t h = 0; h < rows.heads; ++h) {
      const at::Tensor part = wide(w).narrow(0, rows.first + h * width, width);
      EXPECT_LT(difference(forward.narrow(1, h * width, width), at::matmul(wide(whole).narrow(1, h * in, in), part.t())),
                rounding);
      EXPECT_LT(difference(backward.narrow(1, h * in, in), at::matmul(wide(narrow).narrow(1, h * width, width), part)), rounding);
    }
  }
}

TEST_P(Packed, AddsTheResidualUnderDropout) {
  const at::Tensor h = at::randn({x.size(0), w.size(0)});
  for (const Dropout& d : {Dropout(), dropout, of_some_tokens}) {
    const at::Tensor wanted = wide(add_dropout(h, product().to(at::kFloat), d)), before = h.clone();
    at::Tensor own = h.clone();
    const void* memory = own.data_ptr();
    EXPECT_LT(difference(layer.add_forward(h, x, d), wanted), 1e-5);
    EXPECT_LT(difference(layer.add_forward(before.slice(0, 0), x, d), wanted), 1e-5);
    EXPECT_TRUE(h.equal(before));  // what others hold stays
    own = layer.add_forward(std::move(own), x, d);
    EXPECT_LT(difference(own, wanted), 1e-5);
    EXPECT_EQ(own.data_ptr(), memory);
  }
}

TEST_P(Packed, AddsToTheGradientOfTheStream) {
  const at::Tensor d = at::randn({x.size(0), w.size(1)});
  const at::Tensor wanted = wide(d) + at::matmul(wide(dy), wide(w));
  EXPECT_LT(difference(layer.add_backward_input(d.clone(), dy, {}), wanted), 1e-5);
}

// Every row once, and whole.
TEST_P(Packed, GivesRowsThatAreDone) {
  const at::Tensor h = at::randn({x.size(0), w.size(0)}), wanted = h + product().to(at::kFloat);
  at::Tensor seen = at::zeros({x.size(0)}), given = at::zeros_like(h);
  layer.add_forward(h, x, {}, [&](const at::Tensor& sum, int64_t first, int64_t count) {
    seen.narrow(0, first, count) += 1;
    given.narrow(0, first, count).copy_(sum.narrow(0, first, count));
  });
  EXPECT_TRUE(seen.eq(1).all().item<bool>());
  EXPECT_LT(difference(given, wanted), 1e-5);
}

TEST_P(Packed, ReluUnderDropoutAndItsGradient) {
  const Units relu{Activation::relu, false};
  for (const Dropout& d : {Dropout(), dropout, of_some_tokens}) {
    at::Tensor kept, wanted_kept, wanted = product().to(at::kFloat);
    const at::Tensor y = layer.forward_units(x, relu, d, &kept);
    relu_dropout(wanted, d, &wanted_kept);
    EXPECT_LT(difference(y, wanted), rounding);
    EXPECT_TRUE(at::equal(kept, wanted_kept));

    const FrozenLinear second(FrozenMatrix(w.t().contiguous()));
    at::Tensor gradient = at::matmul(wide(x), wide(w).t()).to(at::kFloat);
    relu_dropout_backward(gradient, d, kept);
    EXPECT_LT(difference(second.backward_units(x, relu, d, kept), gradient), rounding);
  }
}

// Slopes of one byte are off by up to 1/400.
TEST_P(Packed, UnitsUnderDropoutAndTheirGradient) {
  const FrozenLinear second(FrozenMatrix(w.t().contiguous()));
  const at::Tensor inner = product().to(at::kFloat), d_units = at::matmul(wide(x), wide(w).t()).to(at::kFloat);
  for (const Activation f : {Activation::gelu, Activation::gelu_new, Activation::silu})
    for (const Dropout& d : {Dropout(), dropout, of_some_tokens}) {
      at::Tensor kept;
      EXPECT_LT(difference(layer.forward_units(x, {f, false}, d, &kept), activation(f, inner, d)), rounding);
      EXPECT_EQ(kept.nbytes(), static_cast<size_t>(x.size(0) * w.size(0)));
      const at::Tensor gradient = second.backward_units(x, {f, false}, d, kept);
      EXPECT_LT(difference(gradient, activation_backward(f, d_units, inner, d)), rounding + 1.0 / 400);
      EXPECT_TRUE(at::equal(layer.forward_units(x, {f, false}, d, nullptr), layer.forward_units(x, {f, false}, d, &kept)));
    }
}

TEST_P(Packed, GatedUnitsUnderDropoutAndTheirGradient) {
  const int64_t units = w.size(0) / 2;
  if (w.size(0) % 64 != 0) {
    EXPECT_FALSE(layer.fuses({Activation::silu, true}, layer));
    return;
  }
  const at::Tensor back = bf16({w.size(1), units});
  const FrozenLinear second{FrozenMatrix(back)};
  const at::Tensor inner = product().to(at::kFloat), d_units = at::matmul(wide(x), wide(back)).to(at::kFloat);
  for (const Activation f : {Activation::relu, Activation::gelu, Activation::gelu_new, Activation::silu})
    for (const Dropout& d : {Dropout(), dropout, of_some_tokens}) {
      at::Tensor kept;
      EXPECT_LT(difference(layer.forward_units(x, {f, true}, d, &kept), gated_activation(f, inner, d)), rounding);
      const at::Tensor gradient = second.backward_units(x, {f, true}, d, kept);
      EXPECT_LT(difference(gradient, gated_activation_backward(f, d_units, inner, d)), 2 * rounding);
    }
}

TEST_P(Packed, WideRowsOfATable) {
  const at::Tensor few = x.slice(0, 0, std::min<int64_t>(x.size(0), 5));
  EXPECT_LT(difference(FrozenMatrix(w).forward_wide(few), at::matmul(wide(few), wide(w).t())), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Sizes, Packed,
                         testing::Values(std::tuple{1, 32, 32}, std::tuple{17, 64, 96}, std::tuple{40, 320, 96},
                                         std::tuple{64, 96, 64}, std::tuple{129, 32, 160}, std::tuple{300, 128, 192},
                                         std::tuple{601, 96, 320}, std::tuple{530, 320, 608}));

TEST(PanelProducts, WithAndWithoutAmxIsTheProduct) {
  if (!has_packed_products()) GTEST_SKIP() << "this CPU does not multiply bf16";
  at::manual_seed(8);
  for (const int64_t m : {8, 16, 32, 48})
    for (const int64_t n : {16, 32}) {
      const int64_t k = 96;
      const at::Tensor a = bf16({m, k}), w = bf16({n, k}), start = at::randn({m, n});
      const PackedMatrix b = pack_transposed(w);
      const at::Tensor wanted = wide(start) + at::matmul(wide(a), wide(w).t());
      for (const auto product : {static_cast<void (*)(const PanelProduct<float>&)>(panel_product), panel_product_avx512}) {
        if (product != panel_product_avx512 && m % rows_at_once() != 0) continue;  // half a tile
        const PanelProducts products;
        at::Tensor c = start.clone();
        product({.rows = m,
                 .columns = n,
                 .steps = b.steps(),
                 .left = {a.const_data_ptr(), 2 * k, step_bytes},
                 .panel = b.panel(0),
                 .c = c.mutable_data_ptr<float>(),
                 .ldc = n,
                 .add = true});
        EXPECT_LT(difference(c, wanted), 1e-5) << m << " x " << n;
      }
    }
}

TEST(PackedLinear, RefusesOtherShapes) {
  if (!has_packed_products()) GTEST_SKIP() << "this CPU does not multiply bf16";
  const FrozenLinear layer{FrozenMatrix(bf16({32, 64}))};
  EXPECT_THROW(layer.forward(bf16({3, 32})), Error);
  EXPECT_THROW(layer.forward(at::randn({3, 64})), Error);
  EXPECT_THROW(layer.add_forward(at::randn({3, 64}), bf16({3, 64}), {}), Error);
  EXPECT_THROW(layer.forward_units(bf16({3, 32}), {}, {}, nullptr), Error);
  EXPECT_THROW(layer.backward_units(bf16({3, 32}), {}, {}, at::zeros({3, 4}, at::kByte)), Error);
  EXPECT_THROW(FrozenLinear(FrozenMatrix(wide(bf16({32, 64})))).forward_units(wide(bf16({3, 64})), {}, {}, nullptr), Error);
  EXPECT_THROW(pack_transposed(bf16({10, 32})), Error);
}

}  // namespace
}  // namespace dept::kernels
