// Llama 1, 2, 3 and relatives (SmolLM2; Mistral and Qwen2 where no window slides): RMSNorm, rotary positions, grouped-query
// attention, SwiGLU (Touvron et al. 2023).
#pragma once

#include <memory>
#include <string>

#include "models/rope_scaling.h"
#include "models/unread.h"

namespace dept {

/// Rotary frequencies, which the configuration gives, under the names of transformers and of GGUF; heads of other tasks.
inline constexpr std::string_view llama_unread[] = {"layers.#.self_attn.rotary_emb.inv_freq",
                                                    "model.layers.#.self_attn.rotary_emb.inv_freq",
                                                    "rotary_emb.inv_freq",
                                                    "model.rotary_emb.inv_freq",
                                                    "blk.#.attn_rot_embd.weight",
                                                    "score.weight",
                                                    "score.bias",
                                                    "qa_outputs.weight",
                                                    "qa_outputs.bias"};

struct LlamaConfig {
  std::string model_type;
  int64_t hidden, intermediate, layers, heads, kv_heads, head_dim, vocab, max_positions;
  double eps, attention_dropout;
  RopeScaling rope;
  bool qkv_bias, out_bias, mlp_bias, tied;
};

/// Throws bad_input for a missing, impossible or not supported field.
LlamaConfig read_llama_config(const Json& config, const std::string& where);
ModelInfo llama_info(const Json& config, const std::string& where);

std::unique_ptr<Backbone> make_llama(const ModelFiles& files, const ModelContext& context);

}  // namespace dept
