// GPT-NeoX and Pythia (Black et al., arXiv 2204.06745; Biderman et al., arXiv 2304.01373): LayerNorm, rotation of a part of each
// head, attention and feed-forward of the same input.
#pragma once

#include <memory>

#include "dept/kernels/activation.h"
#include "models/rope_scaling.h"
#include "models/unread.h"

namespace dept {

/// The causal mask and its value, rotary frequencies, and heads of other tasks.
inline constexpr auto gpt_neox_unread =
    joined({"gpt_neox.layers.#.attention.bias", "gpt_neox.layers.#.attention.masked_bias",
            "gpt_neox.layers.#.attention.rotary_emb.inv_freq", "layers.#.attention.bias", "layers.#.attention.masked_bias",
            "layers.#.attention.rotary_emb.inv_freq", "score.weight"},
           linear_heads);

/// Fields of its configuration that other families refuse.
inline constexpr std::string_view gpt_neox_computed[] = {"use_parallel_residual", "rotary_pct", "partial_rotary_factor"};

struct GptNeoxConfig {
  int64_t hidden, intermediate, layers, heads, vocab, positions;
  double eps, attention_dropout, hidden_dropout;
  kernels::Activation activation;
  RopeScaling rope;
  bool parallel, attention_bias, tied;
  bool qkv_sorted;  ///< as GGUF files have it: all rows of Q, then of K and V; else head by head
};

/// Throws bad_input for a missing, impossible or not supported field.
GptNeoxConfig read_gpt_neox_config(const Json& config, const std::string& where);
ModelInfo gpt_neox_info(const Json& config, const std::string& where);

std::unique_ptr<Backbone> make_gpt_neox(const ModelFiles& files, const ModelContext& context);

}  // namespace dept
