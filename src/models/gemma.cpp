// Gemma 2 (Riviere et al., arXiv 2408.00118) and the text models of Gemma 3 (arXiv 2503.19786): norms before and behind each
// branch that multiply with 1 + w, scaled embeddings, layers that slide among layers that see all; caps in the first, norms of
// queries and keys and a rotation of its own for layers that slide in the second.
#include <cmath>

#include "models/llama_families.h"

namespace dept {
namespace {

void differ_from_llama(const Json& config, const std::string& where, LlamaConfig& c) {
  c.norms = {"input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm"};
  c.one_plus_weight = true;
  const double scalar = read_positive(config, "query_pre_attn_scalar", 256, where);
  if (scalar == 0) fail(Code::bad_input, where + ": query_pre_attn_scalar", "a positive number", "null");
  c.attention_scale = 1 / std::sqrt(scalar);
  c.embedding_scale = std::sqrt(static_cast<double>(c.hidden));
}

// Every `period`th layer sees all.
void add_windows(const Json& config, const std::string& where, int64_t period, LlamaConfig& c) {
  const int64_t window = read_window(config, "sliding_window", 4096, where);
  set_windows(config, where, window, c, [&](int64_t layer) { return (layer + 1) % period != 0; });
}

void differ_as_gemma2(const Json& config, const std::string& where, LlamaConfig& c) {
  differ_from_llama(config, where, c);
  c.score_cap = read_positive(config, "attn_logit_softcapping", 50, where);
  c.logit_cap = read_positive(config, "final_logit_softcapping", 30, where);
  add_windows(config, where, 2, c);
}

// Of layers that see all; a rope_scaling is theirs alone.
RopeScaling read_global_rotation(const Json& config, int64_t head_dim, const std::string& where) {
  return read_rope_scaling(with_rotation_of(config, "full_attention", where), head_dim, where, {.theta = 1e6});
}

RopeScaling read_local_rotation(const Json& config, int64_t head_dim, const std::string& where) {
  Json local = with_rotation_of(config, "sliding_attention", where);
  local.erase("rope_scaling");
  return read_rope_scaling(local, head_dim, where, {.theta_key = "rope_local_base_freq"});
}

void differ_as_gemma3(const Json& config, const std::string& where, LlamaConfig& c) {
  differ_from_llama(config, where, c);
  c.query_key_norms = QueryKeyNorms::each_head;
  c.logit_cap = read_positive(config, "final_logit_softcapping", 0, where);
  const int64_t period = value_or<int64_t>(config, "sliding_window_pattern", 6, where);
  if (period < 1) fail(Code::bad_input, where + ": sliding_window_pattern", "at least 1", str(period));
  add_windows(config, where, period, c);
  c.rotations = {read_global_rotation(config, c.head_dim, where), read_local_rotation(config, c.head_dim, where)};
  for (LlamaLayer& layer : c.layer) layer.rotation = layer.window > 0 ? 1 : 0;
}

constexpr LlamaDefaults defaults(int64_t max_positions, double theta) {
  return {.head_dim = 256,
          .max_positions = max_positions,
          .tied = true,
          .activation_key = "hidden_activation",
          .activation = "gelu_pytorch_tanh",
          .rope = {.theta = theta}};
}

}  // namespace

const LlamaFamily gemma2_family = {"gemma2", defaults(8192, 10000), differ_as_gemma2};
const LlamaFamily gemma3_family = {"gemma3_text", defaults(131072, 1e6), differ_as_gemma3};

}  // namespace dept
