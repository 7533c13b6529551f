#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "dept/base/error.h"
#include "support/dept_adapter.h"

namespace dept {
namespace {

DeptWeights random_weights(int64_t K, int64_t M, int64_t S, int64_t R, int64_t D) {
  const auto options = at::TensorOptions(at::kDouble);
  return {at::randn({K, M, D}, options), at::randn({K, S, R}, options), at::randn({K, R, D}, options)};
}

// Sequences of lengths 3, 0, 2 with configs 1, 0, 0.
Ragged three_sequences() {
  Ragged tokens;
  tokens.append(3, 7, 1);
  tokens.append(0, 8, 0);
  tokens.append(2, 9, 0);
  tokens.position = at::tensor({0L, 1L, 2L, 0L, 1L});
  tokens.row = at::tensor({1L, 2L, -1L, 2L, 3L});
  return tokens;
}

std::shared_ptr<const InputAdapter> scaled(const DeptWeights& w, double scale) {
  return dept_adapter(w, scale * std::sqrt(static_cast<double>(w.A.size(2))));
}

AdaptedBatch apply(const DeptWeights& w, double scale, const at::Tensor& embeds, bool share) {
  return scaled(w, scale)->apply({.share_prompt = share}, {three_sequences(), embeds}, nullptr);
}

// The gradients from d_stream, the gradient of what apply puts out.
DeptWeights backward(const DeptWeights& w, double scale, const at::Tensor& d_stream, bool share) {
  const auto adapter = scaled(w, scale);
  const AdaptedBatch batch =
      adapter->apply({.share_prompt = share}, {three_sequences(), at::zeros({5, 4}, at::kDouble)}, nullptr);
  return dept_weights(adapter->backward(batch, {d_stream, {}}));
}

double loss(const DeptWeights& w, double scale, const at::Tensor& embeds, const at::Tensor& weight, bool share) {
  return (apply(w, scale, embeds, share).source.stream.embeds * weight).sum().item<double>();
}

TEST(Dept, PutsTheConfigsPromptInFrontAndAddsRowsOfTheProduct) {
  const DeptWeights w = random_weights(2, 2, 5, 3, 4);
  const at::Tensor embeds = at::randn({5, 4}, at::kDouble);
  const Stream x = apply(w, 0.5, embeds, false).source.stream;
  x.tokens.check();
  EXPECT_EQ(x.tokens.offsets, (std::vector<int64_t>{0, 5, 7, 11}));
  EXPECT_EQ(x.tokens.config, (std::vector<int64_t>{1, 0, 0}));
  EXPECT_EQ(x.tokens.example, (std::vector<int64_t>{7, 8, 9}));
  EXPECT_EQ(x.tokens.prefix, (std::vector<int64_t>{-1, -1, -1}));
  EXPECT_TRUE(x.tokens.position.equal(at::tensor({0L, 1L, 2L, 3L, 4L, 0L, 1L, 0L, 1L, 2L, 3L})));
  EXPECT_TRUE(x.tokens.row.equal(at::tensor({-1L, -1L, 1L, 2L, -1L, -1L, -1L, -1L, -1L, 2L, 3L})));
  EXPECT_TRUE(x.embeds.narrow(0, 0, 2).equal(w.P[1]));
  EXPECT_TRUE(x.embeds.narrow(0, 5, 2).equal(w.P[0]));
  EXPECT_TRUE(x.embeds[4].equal(embeds[2])) << "a token without a row keeps its embedding";
  EXPECT_TRUE(x.embeds[3].allclose(embeds[1] + 0.5 * w.A[1][2].matmul(w.B[1]), 1e-14, 1e-14));
  EXPECT_TRUE(x.embeds[10].allclose(embeds[4] + 0.5 * w.A[0][3].matmul(w.B[0]), 1e-14, 1e-14));
}

TEST(Dept, SharedPromptsComeFirstAndAreNamedAsPrefix) {
  const DeptWeights w = random_weights(2, 2, 5, 3, 4);
  const at::Tensor embeds = at::randn({5, 4}, at::kDouble);
  const Stream x = apply(w, 0.5, embeds, true).source.stream;
  x.tokens.check();
  EXPECT_EQ(x.tokens.offsets, (std::vector<int64_t>{0, 2, 4, 7, 7, 9}));
  EXPECT_EQ(x.tokens.config, (std::vector<int64_t>{0, 1, 1, 0, 0}));
  EXPECT_EQ(x.tokens.prefix, (std::vector<int64_t>{-1, -1, 1, 0, 0}));
  EXPECT_EQ(x.tokens.example, (std::vector<int64_t>{-1, -1, 7, 8, 9}));
  EXPECT_TRUE(x.tokens.position.equal(at::tensor({0L, 1L, 0L, 1L, 2L, 3L, 4L, 2L, 3L})));
  for (bool share : {false, true}) {
    const AdaptedText text = apply(w, 0.5, embeds, share).source;
    EXPECT_EQ(text.layout.text.size(0), 5);
    EXPECT_TRUE(text.stream.embeds.index_select(0, text.layout.text).equal(x.embeds.narrow(0, 4, 5)));
  }
}

TEST(Dept, WithoutPromptTokensThereIsNoPromptSequence) {
  const DeptWeights w = random_weights(2, 0, 5, 3, 4);
  const at::Tensor embeds = at::randn({5, 4}, at::kDouble);
  const Stream x = apply(w, 0.5, embeds, true).source.stream;
  EXPECT_EQ(x.tokens.offsets, three_sequences().offsets);
  EXPECT_EQ(x.tokens.prefix, (std::vector<int64_t>{-1, -1, -1}));
  EXPECT_EQ(backward(w, 0.5, x.embeds, true).P.numel(), 0);
}

TEST(Dept, RankZeroIsVanillaPromptTuningWhateverTheRows) {
  const DeptWeights w = random_weights(2, 2, 0, 0, 4);
  const at::Tensor embeds = at::randn({5, 4}, at::kDouble);
  EXPECT_EQ(delta_scale(8, 0), 0);
  const Stream x = apply(w, delta_scale(8, 0), embeds, true).source.stream;
  EXPECT_TRUE(x.embeds.narrow(0, 4, 5).equal(embeds));
  const DeptWeights gradient = backward(w, 0, x.embeds, true);
  EXPECT_EQ(gradient.A.sizes(), w.A.sizes());
  EXPECT_EQ(gradient.B.sizes(), w.B.sizes());
}

TEST(Dept, BackwardIsTheSlopeOfForward) {
  const DeptWeights w = random_weights(2, 2, 5, 3, 4);
  const at::Tensor embeds = at::randn({5, 4}, at::kDouble);
  for (bool share : {false, true}) {
    const at::Tensor weight = at::randn({share ? 9 : 11, 4}, at::kDouble);
    const DeptWeights gradient = backward(w, 0.7, weight, share);
    for (auto member : {&DeptWeights::P, &DeptWeights::A, &DeptWeights::B}) {
      at::Tensor flat = (w.*member).view(-1);
      for (int64_t i = 0; i < flat.size(0); ++i) {  // linear in each of P, A, B: differences are exact
        const double saved = flat[i].item<double>();
        flat[i] = saved + 1;
        const double high = loss(w, 0.7, embeds, weight, share);
        flat[i] = saved - 1;
        const double low = loss(w, 0.7, embeds, weight, share);
        flat[i] = saved;
        EXPECT_NEAR((high - low) / 2, (gradient.*member).view(-1)[i].item<double>(), 1e-12);
      }
    }
  }
}

TEST(Dept, RefusesRowsOutsideA) {
  const DeptWeights w = random_weights(2, 2, 3, 3, 4);
  try {
    apply(w, 1, at::zeros({5, 4}, at::kDouble), false);
    FAIL() << "row 3 of 3 was taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::bad_input);
  }
}

TEST(Dept, AmountsToItsPromptAndTheScaledProduct) {
  const DeptWeights w = random_weights(2, 2, 5, 3, 4);
  const FoldedAdapter folded = scaled(w, 0.5)->fold({});
  EXPECT_TRUE(folded.prompt.equal(w.P));
  EXPECT_TRUE(folded.rows.allclose(0.5 * w.A.matmul(w.B), 1e-14, 1e-14));
  EXPECT_FALSE(folded.table.defined());
}

TEST(Dept, ScaleIsAlphaOverRootRank) {
  EXPECT_DOUBLE_EQ(delta_scale(8, 4), 4.0);
}

}  // namespace
}  // namespace dept
