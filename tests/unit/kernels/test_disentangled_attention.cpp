// Disentangled attention against its formula, element by element, and its gradients against autograd's.
#include <ATen/ops/cat.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>
#include <gtest/gtest.h>

#include "dept/kernels/disentangled_attention.h"
#include "unit/kernels/support.h"

namespace dept::kernels {
namespace {

using test::difference;
using test::leaf;

// One head of one sequence: q, k, v [L, K], the tables [2R + 1, K] or undefined.
at::Tensor reference_head(const DisentangledInputs& in, const AttentionSpan& span, int64_t h, const AttentionOptions& options) {
  const int64_t L = span.q_length, begin = span.q_begin;
  std::vector<at::Tensor> rows;
  at::Tensor kept = at::ones({L, L}, in.q.options().requires_grad(false));
  for (int64_t i = 0; i < L; ++i) {
    std::vector<at::Tensor> scores;
    for (int64_t j = 0; j < L; ++j) {
      const at::Tensor q = in.q[begin + i][h], k = in.k[begin + j][h];
      at::Tensor score = q.dot(k);
      if (in.position_keys.defined()) score = score + q.dot(in.position_keys[h][j - i + in.position_keys.size(1) / 2]);
      if (in.position_queries.defined()) score = score + k.dot(in.position_queries[h][j - i + in.position_queries.size(1) / 2]);
      scores.push_back(score * options.scale);
      if (options.dropout > 0) {
        const uint32_t number = options.streams[span.sequence].number(static_cast<uint64_t>((h * L + i) * L + j));
        kept[i][j] = number >= dropout_threshold(options.dropout) ? dropout_scale(options.dropout) : 0.0;
      }
    }
    rows.push_back(at::stack(scores));
  }
  return at::matmul(at::softmax(at::stack(rows), 1) * kept, in.v.slice(0, begin, begin + L).select(1, h));
}

at::Tensor reference(const DisentangledInputs& in, const std::vector<AttentionSpan>& spans, const AttentionOptions& options) {
  std::vector<at::Tensor> parts;
  for (const AttentionSpan& span : spans) {
    std::vector<at::Tensor> heads;
    for (int64_t h = 0; h < in.q.size(1); ++h) heads.push_back(reference_head(in, span, h, options));
    parts.push_back(at::stack(heads, 1).flatten(1));
  }
  return at::cat(parts);
}

class Disentangled : public testing::TestWithParam<std::tuple<bool, bool>> {};
INSTANTIATE_TEST_SUITE_P(Parts, Disentangled,
                         testing::Values(std::tuple{true, true}, std::tuple{true, false}, std::tuple{false, true}));

// Heads of a fused tensor, as layers have them; tables that reach beyond the longest sequence.
TEST_P(Disentangled, EqualsItsFormulaAndAutograd) {
  at::manual_seed(11);
  const auto [has_keys, has_queries] = GetParam();
  const Ragged tokens = test::ragged({5, 1, 7});
  const std::vector<AttentionSpan> spans = self_attention_spans(tokens);
  const at::Tensor q = leaf({13, 2, 4}), k = leaf({13, 2, 4}), v = leaf({13, 2, 4});
  const at::Tensor keys = at::randn({2, 19, 4}, at::kDouble), queries = at::randn({2, 19, 4}, at::kDouble);
  AttentionOptions options;
  options.scale = 0.4;
  options.dropout = 0.3;
  for (const int64_t example : tokens.example)
    options.streams.emplace_back(42, 5, example, 2, Site::self_attention_probabilities);
  const auto table = [](bool has, const at::Tensor& x) { return has ? x : at::Tensor(); };
  const at::Tensor wanted = reference({q, k, v, table(has_keys, keys), table(has_queries, queries)}, spans, options);
  const at::Tensor d = at::randn(wanted.sizes(), wanted.options().requires_grad(false));
  (wanted * d).sum().backward();
  for (const auto& [dtype, tolerance] : {std::pair{at::kDouble, 1e-12}, {at::kFloat, 2e-6}, {at::kBFloat16, 3e-2}}) {
    const at::Tensor fused = at::cat({q.detach(), k.detach(), v.detach()}, 1).to(dtype);
    const auto part = [](const at::Tensor& x, int64_t i) { return x.narrow(1, 2 * i, 2); };
    const DisentangledInputs in{part(fused, 0), part(fused, 1), part(fused, 2), table(has_keys, keys.to(dtype)),
                                table(has_queries, queries.to(dtype))};
    EXPECT_LT(difference(disentangled_attention(in, spans, options), wanted), tolerance);
    const at::Tensor d_fused = at::zeros_like(fused);
    disentangled_attention_backward(d.to(dtype), in, spans, options, {part(d_fused, 0), part(d_fused, 1), part(d_fused, 2), {}});
    EXPECT_LT(difference(part(d_fused, 0), q.grad()), tolerance);
    EXPECT_LT(difference(part(d_fused, 1), k.grad()), tolerance);
    EXPECT_LT(difference(part(d_fused, 2), v.grad()), tolerance);
  }
}

TEST(DisentangledDoor, RefusesWhatItDoesNotCompute) {
  const at::Tensor x = at::zeros({6, 2, 4}), table = at::zeros({2, 11, 4});
  const auto refused = [](const DisentangledInputs& in, const Ragged& tokens, const AttentionOptions& options) {
    try {
      disentangled_attention(in, self_attention_spans(tokens), options);
    } catch (const Error& error) {
      return error.code() == Code::bug;
    }
    return false;
  };
  const Ragged two = test::ragged({2, 4});
  EXPECT_FALSE(refused({x, x, x, table, table}, two, {}));
  EXPECT_TRUE(refused({x, x, x, table, at::zeros({2, 5, 4})}, two, {})) << "too short a reach";
  EXPECT_TRUE(refused({x, x, x, table, at::zeros({2, 10, 4})}, two, {}));
  EXPECT_TRUE(refused({x, x, x.to(at::kDouble), table, table}, two, {}));
  EXPECT_TRUE(refused({x, x, x.narrow(0, 0, 5), table, table}, two, {}));
  EXPECT_TRUE(refused({x, x, x, table, table}, test::ragged({2, 4}, {-1, 0}), {})) << "a prefix";
  AttentionOptions causal;
  causal.causal = true;
  EXPECT_TRUE(refused({x, x, x, table, table}, two, causal));
}

}  // namespace
}  // namespace dept::kernels
