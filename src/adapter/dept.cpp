// Decomposed prompt tuning, whole: DePT: Decomposed Prompt Tuning for Parameter-Efficient Fine-tuning, arXiv 2309.05173,
// section 2.2.
//
//   X = concat(P, E + scale * (A B)[row of each token]),   scale = alpha / sqrt(r)
//
// E [N, D] are the frozen word embeddings of the text; P [M, D], A [S, R] and B [R, D] are all that trains. K adapters of one
// shape are stacked, each sequence uses the one that its config names.
#include "dept/adapter/dept.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {
namespace {

using at::Tensor;

void require(bool good, std::string_view expected, std::string_view received) {
  if (!good) fail(Code::bug, "DePT", expected, received);
}

void check(const DeptWeights& w, const Ragged& tokens, const Tensor& embeds, int64_t length) {
  const auto [P, A, B] = w;
  require(P.dim() == 3 && A.dim() == 3 && B.dim() == 3 && A.size(0) == P.size(0) && B.size(0) == P.size(0) &&
              A.size(2) == B.size(1) && B.size(2) == P.size(2),
          "P [K, M, D], A [K, S, R] and B [K, R, D]", dept::str(P.sizes(), ", ", A.sizes(), " and ", B.sizes()));
  require(embeds.sizes() == at::IntArrayRef({length, P.size(2)}), dept::str("embeddings [", length, ", ", P.size(2), "]"),
          dept::str(embeds.sizes()));
  for (const Tensor& t : {A, B, embeds})
    require(t.scalar_type() == P.scalar_type(), dept::str(P.scalar_type()), dept::str(t.scalar_type()));
  for (int64_t k : tokens.config) require(k >= 0 && k < P.size(0), dept::str("a config below ", P.size(0)), dept::str(k));
}

/// Each token of X as an index into concat(P of config 0, ..., P of config K-1, text): int64 [tokens of X].
/// A shared prompt makes X that very sequence; else a copy of its config's prompt stands in front of each text.
Tensor source_of_token(const Ragged& tokens, int64_t M, bool share_prompt, int64_t K) {
  if (share_prompt) return at::arange(K * M + tokens.tokens(), at::kLong);
  std::vector<int64_t> source;
  source.reserve(tokens.batch() * M + tokens.tokens());
  for (int64_t b = 0; b < tokens.batch(); ++b) {
    for (int64_t j = 0; j < M; ++j) source.push_back(tokens.config[b] * M + j);
    for (int64_t n = tokens.offsets[b]; n < tokens.offsets[b + 1]; ++n) source.push_back(K * M + n);
  }
  return at::tensor(source);
}

/// The rows of A that a batch uses, [first, first + count), and for each text token its row of the stacked [K * count] product;
/// K * count stands for none.
struct UsedRows {
  int64_t first = 0, count = 0;
  Tensor index;
};

UsedRows used_rows(const Ragged& tokens, int64_t K, int64_t S, int64_t R) {
  const int64_t N = tokens.tokens();
  UsedRows used;
  int64_t last = -1;
  std::vector<int64_t> index(N, -1);
  if (R > 0 && tokens.row.defined()) {
    const Tensor row = tokens.row.cpu().contiguous();
    std::copy_n(row.const_data_ptr<int64_t>(), N, index.begin());
    used.first = S;
    for (int64_t r : index) {
      if (r < -1 || r >= S) fail(Code::bad_input, "DePT", str("rows of A·B below ", S, " (max_length), or -1"), str(r));
      if (r >= 0) used.first = std::min(used.first, r);
      last = std::max(last, r);
    }
  }
  used.first = std::min(used.first, last + 1);
  used.count = last + 1 - used.first;
  for (int64_t b = 0; b < tokens.batch(); ++b)
    for (int64_t n = tokens.offsets[b]; n < tokens.offsets[b + 1]; ++n)
      index[n] = index[n] < 0 ? K * used.count : tokens.config[b] * used.count + index[n] - used.first;
  used.index = at::tensor(index);
  return used;
}

/// X as a batch: prompt tokens have positions 0..M-1 and no row, text tokens move up by M.
Ragged with_prompt(const Ragged& tokens, const Tensor& source, int64_t M, bool share_prompt, int64_t K) {
  Ragged out;
  const bool prefix = share_prompt && M > 0;
  for (int64_t k = 0; prefix && k < K; ++k) out.append(M, -1, k);
  for (int64_t b = 0; b < tokens.batch(); ++b)
    out.append(tokens.length(b) + (prefix ? 0 : M), tokens.example[b], tokens.config[b], prefix ? tokens.config[b] : -1);
  if (!tokens.outside.empty()) {
    out.outside.assign(prefix ? K : 0, false);
    out.outside.insert(out.outside.end(), tokens.outside.begin(), tokens.outside.end());
  }
  const Tensor none = at::full({K * M}, -1, at::kLong);
  const Tensor row = tokens.row.defined() ? tokens.row : at::full({tokens.tokens()}, -1, at::kLong);
  out.position = at::cat({at::arange(M, at::kLong).repeat({K}), tokens.position + M}).index_select(0, source);
  out.row = at::cat({none, row}).index_select(0, source);
  return out;
}

}  // namespace

double delta_scale(double alpha, int64_t rank) {
  return rank == 0 ? 0.0 : alpha / std::sqrt(static_cast<double>(rank));
}

Stream apply_dept(const DeptWeights& weights, double scale, const Ragged& tokens, const Tensor& embeds, bool share_prompt) {
  const auto [P, A, B] = weights;
  check(weights, tokens, embeds, tokens.tokens());
  const int64_t K = P.size(0), M = P.size(1), D = P.size(2);
  const UsedRows rows = used_rows(tokens, K, A.size(1), A.size(2));
  const Tensor source = source_of_token(tokens, M, share_prompt, K);

  const Tensor AB = at::bmm(A.narrow(1, rows.first, rows.count), B).mul_(scale).flatten(0, 1);
  const Tensor delta = at::cat({AB, at::zeros({1, D}, AB.options())});
  const Tensor X = at::cat({P.flatten(0, 1), embeds + delta.index_select(0, rows.index)});
  return {with_prompt(tokens, source, M, share_prompt, K), share_prompt ? X : X.index_select(0, source)};
}

// With d = d loss / d X and G[row] = the sum of d over the text tokens of that row:
//   dP = the sum of d over the copies of P,   dA = scale * G B^T,   dB = scale * A^T G
DeptWeights dept_backward(const DeptWeights& weights, double scale, const Ragged& tokens, const Tensor& d_embeds,
                          bool share_prompt) {
  const auto [P, A, B] = weights;
  const int64_t K = P.size(0), M = P.size(1), D = P.size(2), N = tokens.tokens();
  check(weights, tokens, d_embeds, N + M * (share_prompt ? K : tokens.batch()));
  const UsedRows rows = used_rows(tokens, K, A.size(1), A.size(2));
  const Tensor source = source_of_token(tokens, M, share_prompt, K);
  const Tensor d = share_prompt ? d_embeds : at::zeros({K * M + N, D}, P.options()).index_add_(0, source, d_embeds);

  const Tensor G = at::zeros({K * rows.count + 1, D}, P.options())
                       .index_add_(0, rows.index, d.narrow(0, K * M, N))
                       .narrow(0, 0, K * rows.count)
                       .view({K, rows.count, D});
  const Tensor used_A = A.narrow(1, rows.first, rows.count);
  DeptWeights gradient{d.narrow(0, 0, K * M).reshape({K, M, D}), at::zeros(A.sizes(), A.options()), {}};
  gradient.A.narrow(1, rows.first, rows.count).copy_(at::bmm(G, B.transpose(1, 2)).mul_(scale));
  gradient.B = at::bmm(used_A.transpose(1, 2), G).mul_(scale);
  return gradient;
}

Tensor text_token_index(const Ragged& tokens, int64_t prompt_tokens, bool share_prompt, int64_t configs) {
  return at::nonzero(source_of_token(tokens, prompt_tokens, share_prompt, configs) >= configs * prompt_tokens).flatten();
}

}  // namespace dept
