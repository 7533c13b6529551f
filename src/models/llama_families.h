// The relatives of Llama, a file each, and the fields of their configurations that other families refuse (arithmetic.h).
#pragma once

#include <span>

#include "models/common.h"
#include "models/llama.h"

namespace dept {

extern const LlamaFamily mistral_family;                // llama.cpp
extern const LlamaFamily qwen2_family, qwen3_family;    // qwen.cpp
extern const LlamaFamily gemma2_family, gemma3_family;  // gemma.cpp
extern const LlamaFamily smollm3_family;                // smollm3.cpp
extern const LlamaFamily olmo2_family;                  // olmo2.cpp
extern const LlamaFamily granite_family;                // granite.cpp
extern const LlamaFamily phi3_family;                   // phi3.cpp

inline constexpr std::string_view qwen_computed[] = {"layer_types"};
inline constexpr std::string_view gemma2_computed[] = {"layer_types", "query_pre_attn_scalar", "attn_logit_softcapping",
                                                       "final_logit_softcapping"};
inline constexpr std::string_view gemma3_computed[] = {"layer_types", "query_pre_attn_scalar", "final_logit_softcapping",
                                                       "rope_local_base_freq", "sliding_window_pattern"};
inline constexpr std::string_view smollm3_computed[] = {"layer_types", "no_rope_layers", "no_rope_layer_interval"};
inline constexpr std::string_view granite_computed[] = {"attention_multiplier", "embedding_multiplier", "logits_scaling",
                                                        "residual_multiplier"};
inline constexpr std::string_view phi3_computed[] = {"partial_rotary_factor"};

}  // namespace dept
