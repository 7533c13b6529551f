// Ragged scaled-dot-product attention: sequences on offsets, no padding; grouped heads, causal or not, a shared key/value prefix,
// T5's relative bias, dropout on the probabilities; forward keeps one log-sum-exp a query.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
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
};

struct AttentionOptions {
  double scale = 1;
  bool causal = false;       ///< the last query sees all keys, the one before all but one, ...
  at::Tensor relative_bias;  ///< [H, 2R + 1] of the statistics' dtype: added at (h, key - query + R); undefined: none
  double dropout = 0;
  std::vector<DropoutStream> streams;  ///< by span.sequence, when dropout > 0; element (h * q_length + i) * keys + j
};

/// Spans of self-attention within a batch, prefixes as `tokens` names them.
std::vector<AttentionSpan> self_attention_spans(const Ragged& tokens);
/// Spans of cross-attention: sequence b of `queries` to sequence b of `keys`.
std::vector<AttentionSpan> cross_attention_spans(const Ragged& queries, const Ragged& keys);

/// q [Nq, H, K], k and v [Nk, Hkv, K], H a multiple of Hkv, in one of fp32, bf16, fp64; strided views with contiguous heads
/// allowed. Returns [Nq, H * K]; `lse` (not null) receives [H, Nq] in fp32 (fp64). Throws bug for other shapes or dtypes.
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const std::vector<AttentionSpan>& spans,
                     const AttentionOptions& options, at::Tensor* lse);

/// Writes dq, dk, dv (views shaped like q, k, v; every row that a span names). Gradients of keys shared by several spans as a
/// prefix are summed over them.
void attention_backward(const at::Tensor& d_out, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                        const at::Tensor& lse, const std::vector<AttentionSpan>& spans, const AttentionOptions& options,
                        at::Tensor& dq, at::Tensor& dk, at::Tensor& dv);

/// Rows that are both keys and values of one head, made ready once for every product with them.
struct AttentionMemory {
  at::Tensor x;                      ///< [Nk, 1, K]
  at::Tensor keys, values;           ///< x packed for either use, sequence by sequence; undefined where that is not of use
  std::vector<int64_t> first_panel;  ///< [Nk] at a sequence's first row: how many packed rows stand before it
};
/// x [Nk, K] of any of attention()'s dtypes, contiguous; `tokens` its sequences. Throws bug for another shape.
AttentionMemory attention_memory(const at::Tensor& x, const Ragged& tokens);

/// attention() with the memory as k and v; a span reads one whole sequence of it.
at::Tensor attention(const at::Tensor& q, const AttentionMemory& memory, const std::vector<AttentionSpan>& spans,
                     const AttentionOptions& options, at::Tensor* lse);
/// Its backward, for spans of which no two share rows of the memory: writes dq, adds the memory's gradient to dx, fp32 (fp64)
/// [Nk, K].
void attention_backward(const at::Tensor& d_out, const at::Tensor& q, const AttentionMemory& memory, const at::Tensor& lse,
                        const std::vector<AttentionSpan>& spans, const AttentionOptions& options, at::Tensor& dq, at::Tensor& dx);

}  // namespace dept::kernels
