#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/tril.h>
#include <gtest/gtest.h>

#include <cmath>

#include "dept/kernels/attention.h"
#include "unit/kernels/support.h"

namespace dept::kernels {
namespace {

using test::difference;
using test::leaf;

// softmax(scale q k^T + bias + mask) v of one span, head by head, with the probabilities' dropout applied from its stream.
at::Tensor reference_span(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const AttentionSpan& span,
                          const AttentionOptions& options) {
  const int64_t heads = q.size(1), group = heads / k.size(1), own = span.k_length, keys = span.prefix_length + own;
  const auto rows = [&](const at::Tensor& x) {
    return at::cat(
        {x.slice(0, span.prefix_begin, span.prefix_begin + span.prefix_length), x.slice(0, span.k_begin, span.k_begin + own)});
  };
  const at::Tensor queries = q.slice(0, span.q_begin, span.q_begin + span.q_length), all_k = rows(k), all_v = rows(v);
  std::vector<at::Tensor> results;
  for (int64_t h = 0; h < heads; ++h) {
    at::Tensor scores = at::matmul(queries.select(1, h), all_k.select(1, h / group).t()) * options.scale;
    if (options.score_cap > 0) scores = at::tanh(scores / options.score_cap) * options.score_cap;
    at::Tensor hidden = at::zeros({span.q_length, keys}, scores.options());
    at::Tensor kept = at::ones({span.q_length, keys}, scores.options());
    for (int64_t i = 0; i < span.q_length; ++i) {
      for (int64_t j = 0; j < keys; ++j) {
        const int64_t position = options.causal ? keys - span.q_length + i : i;
        if (options.causal && j > position) hidden[i][j] = -INFINITY;
        if (options.window > 0 && std::abs(j - position) >= options.window) hidden[i][j] = -INFINITY;
        const bool biased = i < span.q_length - span.unbiased && j < keys - span.unbiased;
        if (options.relative_bias.defined() && biased)
          hidden[i][j] += options.relative_bias[h][j - position + options.relative_bias.size(1) / 2];
        if (options.dropout > 0) {
          const uint32_t number =
              options.streams[span.sequence].number(static_cast<uint64_t>((h * span.q_length + i) * keys + j));
          kept[i][j] = number >= dropout_threshold(options.dropout) ? dropout_scale(options.dropout) : 0.0;
        }
      }
    }
    results.push_back(at::matmul(at::softmax(scores + hidden, -1) * kept, all_v.select(1, h / group)));
  }
  return at::stack(results, 1).reshape({span.q_length, -1});
}

AttentionOptions scaled(double scale, bool causal) {
  AttentionOptions options;
  options.scale = scale;
  options.causal = causal;
  return options;
}

struct Case {
  int64_t heads, kv_heads, k;
  std::vector<AttentionSpan> spans;
  AttentionOptions options;
  int64_t queries, keys;
};

void expect_equal_to_reference(const Case& c) {
  const at::Tensor q = leaf({c.queries, c.heads, c.k}), k = leaf({c.keys, c.kv_heads, c.k}), v = leaf({c.keys, c.kv_heads, c.k});
  std::vector<at::Tensor> parts;
  for (const AttentionSpan& span : c.spans) parts.push_back(reference_span(q, k, v, span, c.options));
  const at::Tensor wanted = at::cat(parts), d = at::randn(wanted.sizes(), wanted.options());
  (wanted * d).sum().backward();

  for (const auto& [dtype, tolerance] : {std::pair{at::kDouble, 1e-12}, {at::kFloat, 2e-6}, {at::kBFloat16, 3e-2}}) {
    AttentionOptions options = c.options;
    if (options.relative_bias.defined())
      options.relative_bias = options.relative_bias.to(dtype == at::kDouble ? at::kDouble : at::kFloat);
    const auto cast = [&](const at::Tensor& x) { return x.detach().to(dtype).contiguous(); };
    at::Tensor lse;
    const at::Tensor out = attention({cast(q), cast(k), cast(v)}, c.spans, options, &lse);
    EXPECT_LT(difference(out, wanted), tolerance);
    at::Tensor dq = at::zeros_like(cast(q)), dk = at::zeros_like(cast(k)), dv = at::zeros_like(cast(v));
    attention_backward(cast(d), lse, {cast(q), cast(k), cast(v)}, c.spans, options, {dq, dk, dv, {}});
    EXPECT_LT(difference(dq, q.grad()), tolerance);
    EXPECT_LT(difference(dk, k.grad()), tolerance);
    EXPECT_LT(difference(dv, v.grad()), tolerance);
  }
}

TEST(Attention, CausalWithGroupedHeadsEqualsAutograd) {
  at::manual_seed(1);
  const Ragged tokens = test::ragged({5, 1, 9});
  expect_equal_to_reference({4, 2, 8, self_attention_spans(tokens), scaled(0.3, true), 15, 15});
}

TEST(Attention, SharedPrefixEqualsAutogradAndSumsItsGradient) {
  at::manual_seed(2);
  const Ragged tokens = test::ragged({3, 2, 4, 6, 1}, {-1, -1, 0, 0, 1});
  expect_equal_to_reference({6, 3, 4, self_attention_spans(tokens), scaled(0.5, true), 16, 16});
}

TEST(Attention, RelativeBiasAndDropoutEqualAutograd) {
  at::manual_seed(3);
  const Ragged tokens = test::ragged({7, 3});
  AttentionOptions options;
  options.relative_bias = at::randn({2, 21}, at::TensorOptions(at::kDouble));
  options.dropout = 0.3;
  for (int64_t example : {7, 8}) options.streams.emplace_back(42, 5, example, 2, Site::self_attention_probabilities);
  expect_equal_to_reference({2, 2, 8, self_attention_spans(tokens), options, 10, 10});
  options.causal = true;
  expect_equal_to_reference({2, 2, 8, self_attention_spans(tokens), options, 10, 10});
}

// Tokens at the end of a sequence that a bias leaves out, in tiles and without.
TEST(Attention, UnbiasedTokensEqualAutograd) {
  at::manual_seed(12);
  for (const int64_t k : {8, 32}) {
    Ragged tokens = test::ragged({40, 3, 20});
    tokens.unbiased = {17, 0, 20};
    AttentionOptions options = scaled(0.3, false);
    options.relative_bias = at::randn({2, 2 * 40 + 1}, at::TensorOptions(at::kDouble));
    options.dropout = 0.2;
    for (int64_t example : {7, 8, 9}) options.streams.emplace_back(42, 5, example, 2, Site::self_attention_probabilities);
    expect_equal_to_reference({2, 2, k, self_attention_spans(tokens), options, 63, 63});
  }
}

// Heads of 32 numbers and more, which bf16 does in tiles: rows and keys beyond one block, groups, a prefix, bias and dropout.
TEST(Attention, TilesEqualAutograd) {
  at::manual_seed(6);
  const Ragged tokens = test::ragged({70, 1, 33, 140});
  AttentionOptions options = scaled(0.2, false);
  options.dropout = 0.2;
  options.relative_bias = at::randn({2, 2 * 140 + 1}, at::TensorOptions(at::kDouble));
  for (int64_t example : {7, 8, 9, 10}) options.streams.emplace_back(42, 5, example, 2, Site::self_attention_probabilities);
  expect_equal_to_reference({2, 2, 64, self_attention_spans(tokens), options, 244, 244});
  const Ragged shared = test::ragged({40, 30, 66, 3}, {-1, 0, 0, 0});
  expect_equal_to_reference({4, 2, 32, self_attention_spans(shared), scaled(0.2, true), 139, 139});
  const Ragged queries = test::ragged({2, 1, 3}), keys = test::ragged({60, 90, 17});
  expect_equal_to_reference({3, 1, 96, cross_attention_spans(queries, keys), scaled(0.1, false), 6, 167});
}

// Windows shorter than a text, than its prefix and than a block, both ways and backwards alone; and one that cuts nothing off.
TEST(Attention, WindowsEqualAutograd) {
  at::manual_seed(8);
  const Ragged shared = test::ragged({9, 5, 12, 1}, {-1, 0, 0, 0}), texts = test::ragged({70, 1, 33, 140});
  for (const int64_t window : {1, 3, 11, 1000}) {
    AttentionOptions options = scaled(0.3, true);
    options.window = window;
    expect_equal_to_reference({4, 2, 8, self_attention_spans(shared), options, 27, 27});
    for (const bool causal : {true, false}) {
      options.causal = causal;
      options.window = 4 * window;
      expect_equal_to_reference({2, 1, 32, self_attention_spans(texts), options, 244, 244});
    }
  }
}

TEST(Attention, CappedScoresEqualAutograd) {
  at::manual_seed(9);
  const Ragged shared = test::ragged({40, 30, 66, 3}, {-1, 0, 0, 0});
  for (const int64_t k : {8, 32}) {
    AttentionOptions options = scaled(0.5, true);
    options.score_cap = 2;
    options.window = 50;
    options.dropout = 0.2;
    for (int64_t example : {7, 8, 9, 10}) options.streams.emplace_back(42, 5, example, 2, Site::self_attention_probabilities);
    expect_equal_to_reference({4, 2, k, self_attention_spans(shared), options, 139, 139});
  }
}

// A query outside its keys stands behind them: its window begins one key later than that of the last of them.
TEST(Attention, WindowOfAQueryOutsideCountsFromBehindItsKeys) {
  at::manual_seed(10);
  const at::Tensor q = at::randn({1, 2, 4}, at::kDouble), k = at::randn({6, 2, 4}, at::kDouble);
  AttentionOptions options = scaled(0.5, true);
  options.window = 3;
  const at::Tensor outside = attention({q, k, k}, {{0, 1, 0, 6, 0, 0, 0, true}}, options, nullptr);
  options.window = 0;
  EXPECT_LT(difference(outside, attention({q, k, k}, {{0, 1, 4, 2}}, options, nullptr)), 1e-14);
}

// 90 rows of a span are more than a block of them.
TEST(Attention, RowsThatAreKeysAndValuesGainBothGradients) {
  at::manual_seed(7);
  const Ragged queries = test::ragged({2, 30, 3}), keys = test::ragged({60, 41, 1});
  const std::vector<AttentionSpan> spans = cross_attention_spans(queries, keys);
  AttentionOptions options = scaled(0.1, false);
  options.dropout = 0.2;
  for (int64_t example : {7, 8, 9}) options.streams.emplace_back(42, 5, example, 2, Site::cross_attention_probabilities);
  const at::Tensor q = leaf({35, 3, 96}), x = leaf({102, 1, 96}), before = at::randn({102, 96}, at::kDouble);
  std::vector<at::Tensor> parts;
  for (const AttentionSpan& span : spans) parts.push_back(reference_span(q, x, x, span, options));
  const at::Tensor wanted = at::cat(parts), d = at::randn(wanted.sizes(), wanted.options());
  (wanted * d).sum().backward();
  for (const auto& [dtype, tolerance] : {std::pair{at::kDouble, 1e-12}, {at::kFloat, 2e-6}, {at::kBFloat16, 3e-2}}) {
    const auto cast = [&](const at::Tensor& t) { return t.detach().to(dtype).contiguous(); };
    at::Tensor lse, dq = at::zeros_like(cast(q)), dx = before.to(dtype == at::kDouble ? at::kDouble : at::kFloat, false, true);
    const AttentionMemory memory = attention_memory(cast(x).squeeze(1), keys);
    const at::Tensor out = attention({cast(q), memory}, spans, options, &lse);
    EXPECT_TRUE(out.equal(attention({cast(q), cast(x), cast(x)}, spans, options, nullptr))) << dtype;
    attention_backward(cast(d), lse, {cast(q), memory}, spans, options, {dq, {}, {}, dx});
    EXPECT_LT(difference(dq, q.grad()), tolerance) << dtype;
    EXPECT_LT(difference(dx, before + x.grad().squeeze(1)), tolerance) << dtype;
  }
}

TEST(Attention, CrossAttentionEqualsAutograd) {
  at::manual_seed(4);
  const Ragged queries = test::ragged({2, 1, 3}), keys = test::ragged({6, 9, 1});
  expect_equal_to_reference({3, 3, 4, cross_attention_spans(queries, keys), scaled(1, false), 6, 16});
}

TEST(Attention, LastQueryAloneSeesAllKeysOfItsCache) {
  at::manual_seed(5);
  const at::Tensor q = at::randn({6, 2, 4}, at::kDouble), k = at::randn({6, 2, 4}, at::kDouble),
                   v = at::randn({6, 2, 4}, at::kDouble);
  const AttentionOptions causal = scaled(0.5, true);
  const at::Tensor whole = attention({q, k, v}, {{0, 6, 0, 6}}, causal, nullptr);
  const at::Tensor last = attention({q.slice(0, 5, 6), k, v}, {{0, 1, 0, 6}}, causal, nullptr);
  EXPECT_LT(difference(last, whole.slice(0, 5, 6)), 1e-14);
}

TEST(Attention, RefusesOtherShapes) {
  const at::Tensor q = at::randn({4, 3, 8}), k = at::randn({4, 2, 8});
  EXPECT_THROW(attention({q, k, k}, {{0, 4, 0, 4}}, {}, nullptr), Error);
  EXPECT_THROW(attention({q, q.to(at::kDouble), q}, {{0, 4, 0, 4}}, {}, nullptr), Error);
}

}  // namespace
}  // namespace dept::kernels
