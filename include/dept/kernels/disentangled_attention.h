// Disentangled attention (He et al., arXiv 2006.03654): beside content with content, the score of a query and a key has the query
// with what stands for the key's position, and the key with what stands for the query's.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "dept/kernels/attention.h"

namespace dept::kernels {

/// One dtype of fp32, bf16, fp64 and one device; q, k and v as AttentionInputs has them, all with H heads. What stands for a
/// position is frozen and given by distance: [H, 2R + 1, K], of which row key - query + R is read; undefined: no such part.
struct DisentangledInputs {
  at::Tensor q, k, v;           ///< [N, H, K]
  at::Tensor position_keys;     ///< what queries are multiplied with
  at::Tensor position_queries;  ///< what keys are multiplied with
};

/// score(i, j) = scale (q_i . k_j + q_i . position_keys[j - i] + k_j . position_queries[j - i]), softmax over j of the same
/// sequence, dropout, times v. Returns [N, H * K]. Spans are those of self-attention without prefixes; of the options scale,
/// dropout, streams and kernels count. Throws bug for other shapes, dtypes, devices, spans or options, and for a span of more
/// than R + 1 tokens.
at::Tensor disentangled_attention(const DisentangledInputs& in, const std::vector<AttentionSpan>& spans,
                                  const AttentionOptions& options);

/// d_out [N, H * K] -> the gradients of q, k and v, written to to.q, to.k and to.v at every row that a span names.
void disentangled_attention_backward(const at::Tensor& d_out, const DisentangledInputs& in,
                                     const std::vector<AttentionSpan>& spans, const AttentionOptions& options,
                                     const AttentionGradients& to);

}  // namespace dept::kernels
