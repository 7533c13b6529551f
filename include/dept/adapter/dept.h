// Decomposed prompt tuning (arXiv 2309.05173): a short soft prompt P and a low-rank update A·B of the word embeddings.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "dept/models/backbone.h"
#include "dept/tensor/ragged.h"

namespace dept {

/// K stacked adapters of one shape, fp32 (fp64 in the reference). R = 0 is vanilla prompt tuning: A [K, S, 0], B [K, 0, D].
struct DeptWeights {
  at::Tensor P;  ///< [K, M, D] soft prompt
  at::Tensor A;  ///< [K, S, R]
  at::Tensor B;  ///< [K, R, D]
};

/// The scale of A·B: alpha / sqrt(r), 0 for r = 0.
double delta_scale(double alpha, int64_t rank);

/// X = concat(P, E + scale * (A B)[row of each token]).
/// tokens: text only, positions from 0; embeds [N, D]. Returns the batch with M prompt tokens in front of each sequence
/// (or, when `share_prompt`, K prompt sequences first, each text sequence naming its own as prefix), positions moved up by M.
/// Throws bad_input when a row is outside A.
Stream apply_dept(const DeptWeights& weights, double scale, const Ragged& tokens, const at::Tensor& embeds, bool share_prompt);

/// Gradients of P, A, B in closed form from d_embeds, the gradient of the embeddings that apply_dept returned. Sums over the
/// batch.
DeptWeights dept_backward(const DeptWeights& weights, double scale, const Ragged& tokens, const at::Tensor& d_embeds,
                          bool share_prompt);

/// For each text token its index in the stream that apply_dept returned: int64 [N].
at::Tensor text_token_index(const Ragged& tokens, int64_t prompt_tokens, bool share_prompt, int64_t configs);

}  // namespace dept
