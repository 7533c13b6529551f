// Where each token of a batch stands once prompts are in front of its texts. It is worked out once a batch; forward, backward,
// the loss, pooling and label scores read it.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "dept/tensor/ragged.h"

namespace dept {

/// The stream of a batch of B texts with N tokens: M prompt tokens of its configuration in front of each text or, when the
/// prompts are shared, the K prompts as sequences of their own in front of all texts, each text naming its prompt as prefix.
/// Its lists are on the CPU, as those of a batch are.
struct PromptLayout {
  int64_t configs = 1;  ///< K
  int64_t prompt = 0;   ///< M
  bool shared = false;  ///< the K prompts stand once, in front of all texts
  at::Tensor source;    ///< int64 [tokens of the stream] each token as a row of concat(P of config 0, ..., P of config K-1, text)
  at::Tensor text;      ///< int64 [N] each text token's index in the stream

  int64_t tokens() const { return source.size(0); }
  int64_t text_tokens() const { return text.size(0); }
};

/// The layout of a batch of texts. Throws bug when a config is not below `configs`.
PromptLayout lay_out(const Ragged& text, int64_t prompt_tokens, int64_t configs, bool share_prompt);

/// The batch of the stream: prompt tokens have positions 0..M-1 and no row of A·B, text tokens move up by M.
Ragged with_prompt(const Ragged& text, const PromptLayout& layout);

/// The embeddings of the stream from P [K, M, D] and the texts' [N, D].
at::Tensor put_in_front(const PromptLayout& layout, const at::Tensor& P, const at::Tensor& text);

struct PromptGradients {
  at::Tensor P;     ///< [K, M, D] summed over the copies of each prompt (kernels::wide_row_sums): fp64 on the CPU
  at::Tensor text;  ///< [N, D]
};

/// From d_stream [tokens of the stream, D], the gradient of what put_in_front returned. Throws bug for another shape.
PromptGradients take_from_front(const PromptLayout& layout, const at::Tensor& d_stream);

}  // namespace dept
