// Llama 1, 2, 3 and relatives: RMSNorm, rotary positions, grouped-query attention, gated feed-forward (Touvron et al. 2023). A
// relative is a LlamaFamily (llama_families.h): what it has where its configuration says nothing, and what differs.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dept/kernels/activation.h"
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

/// Names of a block's norms; empty: there is none.
struct LlamaNorms {
  std::string_view before_attention = "input_layernorm", after_attention, before_feed_forward = "post_attention_layernorm",
                   after_feed_forward;
  int64_t count() const {
    return !before_attention.empty() + !after_attention.empty() + !before_feed_forward.empty() + !after_feed_forward.empty();
  }
};

/// Over what queries and keys are normalised.
enum class QueryKeyNorms { none, each_head, all_heads };

struct LlamaLayer {
  int64_t window = 0;  ///< as kernels::AttentionOptions has it
  int rotation = 0;    ///< which of LlamaConfig's, -1 none
};

struct LlamaConfig {
  std::string model_type;
  int64_t hidden, intermediate, layers, heads, kv_heads, head_dim, vocab, max_positions;
  double eps, attention_dropout, residual_dropout = 0;
  bool qkv_bias, out_bias, mlp_bias, tied;
  std::vector<RopeScaling> rotations;
  std::vector<LlamaLayer> layer;  ///< [layers]

  kernels::Activation activation = kernels::Activation::silu;
  LlamaNorms norms{};
  bool one_plus_weight = false;  ///< a norm multiplies with 1 + its weight
  QueryKeyNorms query_key_norms = QueryKeyNorms::none;
  bool fused = false;  ///< qkv_proj and gate_up_proj are stored as one matrix each
  double attention_scale = 0, score_cap = 0;
  double embedding_scale = 1;  ///< of a word's embedding, in fp32 and then the compute type
  double input_scale = 1;      ///< of all that goes into the first block
  double branch_factor = 1;    ///< of what a branch adds to the residual stream
  double logit_scale = 1, logit_cap = 0;
};

/// What a relative has where its configuration says nothing.
struct LlamaDefaults {
  double eps = 1e-6;
  int64_t head_dim = 0;  ///< 0: hidden_size / num_attention_heads
  int64_t max_positions = 2048;
  bool tied = false;
  bool own_heads = false;  ///< as many key/value heads as heads; else their number must be said
  bool qkv_bias = false;
  const char* activation_key = "hidden_act";
  const char* activation = "silu";
  RopeDefaults rope{};
};

struct LlamaFamily {
  std::string_view model_type;
  LlamaDefaults defaults;
  /// Fills in what differs from Llama; `c` holds what all have in common. Throws as read_llama_config.
  void (*differ)(const Json& config, const std::string& where, LlamaConfig& c);
};

/// Of a model_type of llama_families. Throws bad_input for a missing, impossible or not supported field.
LlamaConfig read_llama_config(const Json& config, const std::string& where);
ModelInfo llama_info(const Json& config, const std::string& where);

std::unique_ptr<Backbone> make_llama(const ModelFiles& files, const ModelContext& context);

// What several relatives read.

/// Whether each layer slides, as layer_types says; empty where the configuration does not have it. Throws bad_input for other
/// types of layers.
std::vector<bool> read_sliding_layers(const Json& config, int64_t layers, const std::string& where);
/// Windows of the layers that slide, by layer_types or else by slides(layer). `window` 0: none, and no layer may slide.
void set_windows(const Json& config, const std::string& where, int64_t window, LlamaConfig& c,
                 const std::function<bool(int64_t layer)>& slides);
/// `key`, a window of at least 1; null: 0.
int64_t read_window(const Json& config, std::string_view key, int64_t fallback, const std::string& where);
/// A factor or a cap: a positive number; null: 0.
double read_positive(const Json& config, std::string_view key, double fallback, const std::string& where);

}  // namespace dept
