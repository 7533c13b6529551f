// Llama 1, 2, 3 and relatives (SmolLM2; Mistral and Qwen2 where no window slides): RMSNorm, rotary positions, grouped-query
// attention, SwiGLU (Touvron et al. 2023).
#pragma once

#include <memory>
#include <string>

#include "models/model_files.h"
#include "models/rope_scaling.h"

namespace dept {

struct LlamaConfig {
  std::string model_type;
  int64_t hidden, intermediate, layers, heads, kv_heads, head_dim, vocab, max_positions;
  double eps;
  RopeScaling rope;
  bool qkv_bias, out_bias, mlp_bias, tied;
};

/// Throws bad_input for a missing, impossible or not supported field.
LlamaConfig read_llama_config(const Json& config, const std::string& where);
ModelInfo llama_info(const Json& config, const std::string& where);

std::unique_ptr<Backbone> make_llama(const ModelFiles& files, const Context& ctx);

}  // namespace dept
