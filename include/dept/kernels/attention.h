// Ragged scaled-dot-product attention: sequences on offsets, no padding; grouped heads, causal or not, a shared key/value prefix,
// a sliding window, T5's relative bias, capped scores, dropout on the probabilities; forward keeps one log-sum-exp a query.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "dept/tensor/context.h"
#include "dept/tensor/dropout_key.h"
#include "dept/tensor/ragged.h"

namespace dept::kernels {

/// One sequence: which rows of q attend to which rows of k and v. The prefix's keys come first and all of them are visible.
struct AttentionSpan {
  int64_t q_begin, q_length;
  int64_t k_begin, k_length;
  int64_t prefix_begin = 0, prefix_length = 0;
  int64_t sequence = 0;  ///< in the query's batch, for dropout
  bool outside = false;  ///< its one query stands behind all its keys, not at the last: a window counts from there
  int64_t unbiased = 0;  ///< queries at its end, and as many keys, whose pairs get no relative bias
  BatchPart queries = BatchPart::none, keys = BatchPart::none;  ///< their batches
};

struct AttentionOptions {
  double scale = 1;
  bool causal = false;       ///< the last query sees all keys, the one before all but one, ...
  int64_t window = 0;        ///< > 0: no key that stands so many places or more before the query, or behind it, is seen
  double score_cap = 0;      ///< c > 0: a scaled score s becomes c tanh(s / c) (Gemma 2), before the bias
  at::Tensor relative_bias;  ///< [H, 2R + 1] of the statistics' dtype: added at (h, key - query + R); undefined: none
  double dropout = 0;
  Kernels kernels = Kernels::own;
  std::vector<DropoutStream> streams;  ///< by span.sequence, when dropout > 0; element (h * q_length + i) * keys + j
};

/// Spans of self-attention within a batch, prefixes as `tokens` names them.
std::vector<AttentionSpan> self_attention_spans(const Ragged& tokens);
/// Spans of cross-attention: sequence b of `queries` to sequence b of `keys`.
std::vector<AttentionSpan> cross_attention_spans(const Ragged& queries, const Ragged& keys);

/// Rows that are both keys and values of one head, made ready once for every product with them.
struct AttentionMemory {
  at::Tensor x;                      ///< [Nk, 1, K]
  at::Tensor keys, values;           ///< x packed for either use, sequence by sequence; undefined where that is not of use
  std::vector<int64_t> first_panel;  ///< [Nk] at a sequence's first row: how many packed rows stand before it
};
/// x [Nk, K] in fp32, bf16 or fp64, contiguous; `tokens` its sequences. Throws bug for another shape.
AttentionMemory attention_memory(const at::Tensor& x, const Ragged& tokens, Kernels kernels = Kernels::own);

/// H is a multiple of Hkv; one dtype of fp32, bf16, fp64, one device; strided views with contiguous heads allowed.
struct AttentionInputs {
  at::Tensor q;                             ///< [Nq, H, K]
  at::Tensor k, v;                          ///< [Nk, Hkv, K]
  const AttentionMemory* memory = nullptr;  ///< not null: k and v are its rows, and a span reads one whole sequence of it

  AttentionInputs(at::Tensor q, at::Tensor k, at::Tensor v) : q(std::move(q)), k(std::move(k)), v(std::move(v)) {}
  /// The memory must outlive this.
  AttentionInputs(at::Tensor q, const AttentionMemory& memory) : q(std::move(q)), k(memory.x), v(memory.x), memory(&memory) {}
};

/// Returns [Nq, H * K]; `lse` (not null) receives [H, Nq] in fp32 (fp64). Throws bug for other shapes, dtypes or devices.
at::Tensor attention(const AttentionInputs& in, const std::vector<AttentionSpan>& spans, const AttentionOptions& options,
                     at::Tensor* lse);

/// Where the gradients of attention's inputs go.
struct AttentionGradients {
  at::Tensor q;       ///< like the input's q: written
  at::Tensor k, v;    ///< like its k and v: every row that a span names is written
  at::Tensor memory;  ///< with a memory in place of k and v: fp32 (fp64) [Nk, K], added to
};

/// d_out [Nq, H * K] and lse as attention returned them. Gradients of keys shared by several spans as a prefix are summed over
/// them; no two spans may share rows of a memory. Throws bug for other shapes, dtypes or devices.
void attention_backward(const at::Tensor& d_out, const at::Tensor& lse, const AttentionInputs& in,
                        const std::vector<AttentionSpan>& spans, const AttentionOptions& options, const AttentionGradients& to);

}  // namespace dept::kernels
