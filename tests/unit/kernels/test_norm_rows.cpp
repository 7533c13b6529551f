#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include "dept/kernels/layer_norm.h"
#include "dept/kernels/norm_rows.h"
#include "dept/kernels/rms_norm.h"
#include "kernels/cpu/panel_product.h"
#include "unit/kernels/support.h"

namespace dept::kernels {
namespace {

using test::difference;

constexpr double rounding = 1.0 / 256;

// With a bias a LayerNorm, else an RMSNorm.
class NormRows : public testing::TestWithParam<std::tuple<int64_t, bool>> {
 protected:
  void SetUp() override {
    if (!has_packed_products()) GTEST_SKIP() << "this CPU does not multiply bf16";
    at::manual_seed(4);
    const auto [width, centres] = GetParam();
    x = at::randn({30, width}) * 2 + 1;
    norm = {at::rand({width}) + 0.5, centres ? at::randn({width}) : at::Tensor(), 1e-5};
    dropout = Dropout(test::training_call(), test::ragged({11, 0, 19}), 0.3, 2, Site::feed_forward_output);
    of_some_tokens = Dropout(test::training_call(), test::some_tokens(30), 0.3, 2, Site::feed_forward_output);
  }
  at::Tensor forward(at::ScalarType dtype, NormSaved* saved) const {
    return norm.bias.defined() ? layer_norm(x, norm.weight, norm.bias, norm.eps, dtype, saved)
                               : rms_norm(x, norm.weight, norm.eps, dtype, saved);
  }
  at::Tensor backward(const at::Tensor& dy, const at::Tensor& d) const {
    NormSaved saved;
    forward(at::kFloat, &saved);
    at::Tensor dx = d.clone();
    if (norm.bias.defined())
      layer_norm_backward(dy, saved, norm.weight, dx);
    else
      rms_norm_backward(dy, saved, norm.weight, dx);
    return dx;
  }

  at::Tensor x;
  NormWeights norm;
  Dropout dropout, of_some_tokens;
};

TEST_P(NormRows, ForwardIsTheNorm) {
  const at::Tensor before = x.clone(), wanted = forward(at::kFloat, nullptr);
  const NormForward ahead(norm, NormPlace::before, x.size(0), false), behind(norm, NormPlace::behind, x.size(0), false);
  for_all_rows(x, ahead);
  EXPECT_LT(difference(ahead.y, wanted), rounding);
  EXPECT_TRUE(at::equal(x, before));
  EXPECT_FALSE(ahead.saved.rstd.defined());
  for_all_rows(x, behind);
  EXPECT_LT(difference(behind.y, wanted), rounding);
  EXPECT_LT(difference(x, wanted), 1e-5);
}

// Codes of one byte: off by half a step at most, which is 2 sqrt(n largest) / 127.
TEST_P(NormRows, KeepsCodes) {
  const NormForward kept(norm, NormPlace::before, x.size(0), true);
  for_all_rows(x, kept);
  NormSaved wanted;
  forward(at::kFloat, &wanted);
  const at::Tensor off = (opened(kept.saved, at::kFloat).normalised - wanted.normalised).abs();
  const at::Tensor step = 2 * (wanted.normalised.abs() * kept.saved.largest.unsqueeze(1)).sqrt() / NormSaved::most;
  EXPECT_TRUE(off.le(0.51 * step + 1e-3).all().item<bool>());
  EXPECT_LT(difference(kept.saved.rstd, wanted.rstd), 1e-5);
}

TEST_P(NormRows, BackwardIsThatOfTheNormAndOfTheDropout) {
  const NormForward kept(norm, NormPlace::before, x.size(0), true);
  for_all_rows(x, kept);
  const at::Tensor dy = at::randn(x.sizes()).to(at::kBFloat16), d = at::randn(x.sizes());
  for (const Dropout& drops : {Dropout(), dropout, of_some_tokens}) {
    const NormBackward rows(norm, kept.saved, &drops);
    at::Tensor sum = d.clone(), alone = dy.to(at::kFloat);
    for_all_rows(dy, [&](const at::Tensor& of, int64_t first, int64_t count) { rows.before(of, sum, first, count); });
    EXPECT_LT(difference(sum, backward(dy.to(at::kFloat), d)), rounding);
    EXPECT_TRUE(at::equal(rows.branch, add_dropout_backward(sum, drops, at::kBFloat16)));
    for_all_rows(alone, [&](const at::Tensor& of, int64_t first, int64_t count) { rows.behind(of, first, count); });
    EXPECT_LT(difference(alone, backward(dy.to(at::kFloat), at::zeros_like(d))), rounding);
    EXPECT_TRUE(at::equal(rows.branch, add_dropout_backward(alone, drops, at::kBFloat16)));
  }
  EXPECT_FALSE(NormBackward(norm, kept.saved, nullptr).branch.defined());
}

TEST_P(NormRows, RefusesTheDropoutOfOtherRows) {
  NormSaved saved;
  forward(at::kBFloat16, &saved);
  const Dropout other(test::training_call(), test::ragged({29}), 0.3, 2, Site::feed_forward_output);
  EXPECT_THROW(NormBackward(norm, saved, &other), Error);
}

INSTANTIATE_TEST_SUITE_P(Widths, NormRows, testing::Combine(testing::Values(16, 48, 768), testing::Bool()));

}  // namespace
}  // namespace dept::kernels
