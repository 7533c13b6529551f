// GPT-2 (Radford et al. 2019): learned positions, LayerNorm before each sub-layer, GELU, tied head.
#pragma once

#include <memory>

#include "dept/kernels/activation.h"
#include "models/unread.h"

namespace dept {

/// The causal mask and its value, and heads of other tasks.
inline constexpr auto gpt2_unread = joined({"h.#.attn.bias", "h.#.attn.masked_bias", "transformer.h.#.attn.bias",
                                            "transformer.h.#.attn.masked_bias", "score.weight", "multiple_choice_head.*"},
                                           linear_heads);

struct Gpt2Config {
  int64_t hidden, intermediate, layers, heads, vocab, positions;
  double eps, embedding_dropout, attention_dropout, residual_dropout;
  kernels::Activation activation;
  bool scaled_attention;  ///< scores are divided by sqrt(K)
  bool scaled_by_layer;   ///< and by 1 + the layer's index
  bool tied;
};

/// Throws bad_input for a missing, impossible or not supported field.
Gpt2Config read_gpt2_config(const Json& config, const std::string& where);
ModelInfo gpt2_info(const Json& config, const std::string& where);

std::unique_ptr<Backbone> make_gpt2(const ModelFiles& files, const ModelContext& context);

}  // namespace dept
