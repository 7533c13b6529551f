#include "models/arithmetic.h"

#include <algorithm>

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {
namespace {

// The names are those of transformers' configurations, and of well-known code that models bring along. What shows in a model's
// tensors needs no entry: a tensor too many or too few is refused by its own name.
const std::vector<NeutralField>& neutral_fields() {
  static const std::vector<NeutralField> fields = {
      // factors
      {"attention_in_multiplier", {1}},
      {"attention_multiplier", {}},  // in place of 1/sqrt(head_dim)
      {"attention_out_multiplier", {1}},
      {"attention_scale", {}},
      {"attention_value_scale", {1}},
      {"attn_scale", {}},
      {"dim_model_base", {}},
      {"embed_scale", {1}},
      {"embedding_multiplier", {1}},
      {"embedding_scale", {1}},
      {"key_multiplier", {1}},
      {"lm_head_multiplier", {1}},
      {"logit_scale", {1}},
      {"logits_mup_width_multiplier", {1}},
      {"logits_scaling", {1}},
      {"mlp_multipliers", {Json::array({1, 1})}},
      {"mup_enabled", {false}},
      {"output_multiplier", {1}},
      {"qk_scale_factor", {1}},
      {"query_pre_attn_scalar", {}},
      {"residual_multiplier", {1}},
      {"residual_scale", {1}},
      {"scale_depth", {}},
      {"scale_emb", {1}},
      {"scale_embedding", {false}},
      {"softmax_scale", {}},
      {"use_mup", {false}},
      // bounds
      {"attention_logit_cap", {0}},
      {"attn_logit_softcapping", {0}},
      {"clip_qkv", {0}},
      {"final_logit_softcapping", {0}},
      {"logits_soft_cap", {0}},
      {"output_logit_soft_cap", {0}},
      {"swiglu_limit", {0}},
      // norms and the order of sub-layers
      {"add_unit_offset", {false}},
      {"apply_layernorm_1p", {false}},
      {"apply_residual_connection_post_layernorm", {false}},
      {"parallel_attn", {false}},
      {"qk_layernorm", {false}},
      {"qk_norm", {false}},
      {"rms_norm_add_unit_offset", {false}},
      {"swin_norm", {false}},
      {"use_parallel_residual", {false}},
      {"use_post_norm", {false}},
      {"use_qk_norm", {false}},
      // which tokens see which
      {"attention_chunk_size", {0}},
      {"attention_window", {0}},
      {"full_attention_interval", {1}},
      {"global_attn_every_n_layers", {1}},
      {"layer_types", {}},  // all of them full_attention: below
      {"local_attention", {0}},
      {"sliding_window_pattern", {0, 1}},
      {"sliding_windows", {}},
      {"use_bidirectional_attention", {false}},
      {"window_size", {0}},
      // positions
      {"alibi", {false}},
      {"attn_temperature_tuning", {false}},
      {"no_rope_layer_interval", {0}},
      {"no_rope_layers", {Json::array()}},
      {"partial_rotary_factor", {1}},
      {"position_embedding_type", {"absolute", "learned", "learned_absolute", "rope", "rotary"}},
      {"rope_interleave", {false}},
      {"rope_interleaved", {false}},
      {"rope_local_base_freq", {}},
      {"rope_pct", {1}},
      {"rotary_dim", {}},
      {"rotary_emb_fraction", {1}},
      {"rotary_emb_interleaved", {false}},
      {"rotary_emb_scale_base", {}},
      {"rotary_pct", {1}},
      {"rotary_percent", {1}},
      {"use_alibi", {false}},
      {"use_dynamic_ntk", {false}},
      {"use_logn_attn", {false}},
      {"use_mem_rope", {false}},
      // parts of a layer or of the model
      {"activation_sparsity_pattern", {}},
      {"add_cross_attention", {false}},
      {"cross_attention_hidden_size", {}},
      {"cross_attention_layers", {Json::array()}},
      {"hidden_size_per_layer_input", {0}},
      {"moe_num_experts", {0, 1}},
      {"mtp_num_layers", {0}},
      {"n_routed_experts", {0}},
      {"num_experts", {0, 1}},
      {"num_kv_shared_layers", {0}},
      {"num_local_experts", {0, 1}},
      {"num_nextn_predict_layers", {0}},
      {"pruned_heads", {Json::object()}},
      {"tie_encoder_decoder", {false}},
      // dropouts that no family here has, and layers that are left out in training
      {"activation_dropout", {0}},
      {"drop_path_rate", {0}},
      {"layerdrop", {0}},
      // weights that are no plain numbers; quantization_config has its own rule
      {"compression_config", {Json::object()}},
      {"quantization", {Json::object()}},
  };
  return fields;
}

std::string values_of(const NeutralField& field) {
  std::string text = "none";
  for (const Json& value : field.values) text += str(" or ", value.dump());
  return text;
}

bool all_full_attention(const Json& layer_types) {
  return layer_types.is_array() &&
         std::all_of(layer_types.begin(), layer_types.end(), [](const Json& type) { return type == "full_attention"; });
}

}  // namespace

void require_neutral(const NeutralField& field, const Json& value, const std::string& where) {
  if (value.is_null() || std::find(field.values.begin(), field.values.end(), value) != field.values.end()) return;
  fail(Code::bad_input, str(where, ": ", field.key), values_of(field) + ", as nothing here computes it",
       quote(value.dump(-1, ' ', false, Json::error_handler_t::replace)));
}

void require_neutral(const Json& config, const NeutralField& field, const std::string& where) {
  if (const auto found = config.find(std::string(field.key)); found != config.end()) require_neutral(field, *found, where);
}

void refuse_other_arithmetic(const Json& config, const std::string& where, std::span<const std::string_view> computed) {
  for (const NeutralField& field : neutral_fields()) {
    const auto found = config.find(std::string(field.key));
    if (found == config.end() || (field.key == "layer_types" && all_full_attention(*found))) continue;
    if (std::find(computed.begin(), computed.end(), field.key) != computed.end()) continue;
    require_neutral(field, *found, where);
  }
}

void refuse_two_values(const Json& config, std::initializer_list<FieldNames> fields, const std::string& where) {
  for (const auto& [name, alias] : fields) {
    const auto own = config.find(std::string(name)), other = config.find(std::string(alias));
    if (own == config.end() || other == config.end() || !own->is_number() || !other->is_number() || *own == *other) continue;
    fail(Code::bad_input, str(where, ": ", alias), str(own->dump(), ", as ", name, " says"), other->dump());
  }
}

}  // namespace dept
