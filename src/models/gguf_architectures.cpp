#include "models/gguf_architectures.h"

#include <algorithm>
#include <cmath>

#include "dept/base/error.h"

namespace dept {
namespace {

using std::string_view;

const ModuleNames llama_whole = {{"model.embed_tokens", "token_embd"}, {"model.norm", "output_norm"}, {"lm_head", "output"}};
const ModuleNames llama_block = {{"self_attn.q_proj", "attn_q"},      {"self_attn.k_proj", "attn_k"},
                                 {"self_attn.v_proj", "attn_v"},      {"self_attn.o_proj", "attn_output"},
                                 {"self_attn.q_norm", "attn_q_norm"}, {"self_attn.k_norm", "attn_k_norm"},
                                 {"input_layernorm", "attn_norm"},    {"post_attention_layernorm", "ffn_norm"},
                                 {"mlp.gate_proj", "ffn_gate"},       {"mlp.up_proj", "ffn_up"},
                                 {"mlp.down_proj", "ffn_down"}};

ModuleNames with(ModuleNames names, std::initializer_list<ModuleNames::value_type> others) {
  for (const auto& [theirs, ours] : others) names[theirs] = ours;
  return names;
}

const ModuleNames gemma_block = with(llama_block, {{"post_attention_layernorm", "post_attention_norm"},
                                                   {"pre_feedforward_layernorm", "ffn_norm"},
                                                   {"post_feedforward_layernorm", "post_ffw_norm"}});
const ModuleNames phi3_block = with(llama_block, {{"self_attn.qkv_proj", "attn_qkv"}, {"mlp.gate_up_proj", "ffn_up"}});
const ModuleNames gpt2_whole = {{"transformer.wte", "token_embd"},
                                {"transformer.wpe", "position_embd"},
                                {"transformer.ln_f", "output_norm"},
                                {"lm_head", "output"}};
const ModuleNames gpt2_block = {{"ln_1", "attn_norm"}, {"attn.c_attn", "attn_qkv"}, {"attn.c_proj", "attn_output"},
                                {"ln_2", "ffn_norm"},  {"mlp.c_fc", "ffn_up"},      {"mlp.c_proj", "ffn_down"}};
const ModuleNames neox_whole = {
    {"gpt_neox.embed_in", "token_embd"}, {"gpt_neox.final_layer_norm", "output_norm"}, {"lm_head", "output"}};
const ModuleNames neox_block = {{"input_layernorm", "attn_norm"},   {"attention.query_key_value", "attn_qkv"},
                                {"attention.dense", "attn_output"}, {"post_attention_layernorm", "ffn_norm"},
                                {"mlp.dense_h_to_4h", "ffn_up"},    {"mlp.dense_4h_to_h", "ffn_down"}};

constexpr string_view llama_keys[] = {"attention.layer_norm_rms_epsilon", "attention.sliding_window"};
constexpr string_view qwen_keys[] = {"attention.layer_norm_rms_epsilon"};
constexpr string_view gemma2_keys[] = {"attention.layer_norm_rms_epsilon", "attention.sliding_window", "attn_logit_softcapping",
                                       "final_logit_softcapping"};
constexpr string_view gemma3_keys[] = {"attention.layer_norm_rms_epsilon", "attention.sliding_window", "final_logit_softcapping",
                                       "attention.sliding_window_pattern", "rope.freq_base_swa"};
constexpr string_view phi3_keys[] = {"attention.layer_norm_rms_epsilon", "attention.sliding_window", "rope.scaling.attn_factor"};
constexpr string_view gpt2_keys[] = {"attention.layer_norm_epsilon"};
constexpr string_view neox_keys[] = {"attention.layer_norm_epsilon", "use_parallel_residual"};
constexpr string_view phi3_factors[] = {"rope_factors_long.weight", "rope_factors_short.weight"};

// Files do not say by what queries are scaled: the width of a head, but in the largest model, which is known by its layers.
void scale_queries(const GgufKeys& keys, int64_t layers_of_largest, Json& config) {
  const int64_t hidden = config["hidden_size"], heads = config["num_attention_heads"];
  const bool largest = config["num_hidden_layers"] == layers_of_largest;
  if (!config.contains("head_dim"))
    fail(Code::bad_input, keys.file.path().string(), "the key " + keys.name("attention.key_length"), "none");
  config["query_pre_attn_scalar"] = largest ? hidden / std::max<int64_t>(heads, 1) : config["head_dim"].get<int64_t>();
}

void finish_gemma2(const GgufKeys& keys, Json& config) {
  scale_queries(keys, 46, config);
  for (const char* cap : {"attn_logit_softcapping", "final_logit_softcapping"}) {
    const double value = keys.number(cap).value_or(0);
    config[cap] = value > 0 ? Json(value) : Json();
  }
}

void finish_gemma3(const GgufKeys& keys, Json& config) {
  scale_queries(keys, 62, config);
  if (const auto cap = keys.number("final_logit_softcapping"); cap && *cap > 0) config["final_logit_softcapping"] = *cap;
  if (const auto pattern = keys.integer("attention.sliding_window_pattern")) config["sliding_window_pattern"] = *pattern;
  config["rope_local_base_freq"] = keys.number("rope.freq_base_swa").value_or(10000);
}

// The share of a head's numbers that are rotated, so that the product with the width is not below their count.
double rotated_share(const GgufKeys& keys, int64_t head_dim) {
  const auto count = keys.integer("rope.dimension_count");
  return count && *count < head_dim ? std::nextafter(static_cast<double>(*count) / static_cast<double>(head_dim), 2.0) : 1.0;
}

Json numbers_of(const GgufFile& file, string_view tensor) {
  Json numbers = Json::array();
  const at::Tensor values = file.read(std::string(tensor)).to(at::kDouble).contiguous();
  for (int64_t i = 0; i < values.numel(); ++i) numbers.push_back(values.const_data_ptr<double>()[i]);
  return numbers;
}

void finish_phi3(const GgufKeys& keys, Json& config) {
  const int64_t hidden = config["hidden_size"], heads = config["num_attention_heads"];
  config["partial_rotary_factor"] =
      rotated_share(keys, config.contains("head_dim") ? config["head_dim"].get<int64_t>() : hidden / std::max<int64_t>(heads, 1));
  if (const auto original = keys.integer("rope.scaling.original_context_length"))
    config["original_max_position_embeddings"] = *original;
  if (keys.file.find(std::string(phi3_factors[0])) == nullptr) return;
  config["rope_scaling"] = {{"type", "longrope"},
                            {"long_factor", numbers_of(keys.file, phi3_factors[0])},
                            {"short_factor", numbers_of(keys.file, phi3_factors[1])},
                            {"attention_factor", keys.number("rope.scaling.attn_factor").value_or(1)}};
}

void finish_gpt2(const GgufKeys& keys, Json& config) {
  config.update({{"n_embd", keys.required_integer("embedding_length")},
                 {"n_inner", keys.required_integer("feed_forward_length")},
                 {"n_layer", keys.required_integer("block_count")},
                 {"n_head", keys.required_integer("attention.head_count")},
                 {"n_positions", keys.required_integer("context_length")},
                 {"layer_norm_epsilon", keys.file.number(keys.name("attention.layer_norm_epsilon"))}});
}

// Rows of Q, K and V are sorted already.
void finish_neox(const GgufKeys& keys, Json& config) {
  const int64_t hidden = keys.required_integer("embedding_length"), heads = keys.required_integer("attention.head_count");
  config.update({{"hidden_size", hidden},
                 {"intermediate_size", keys.required_integer("feed_forward_length")},
                 {"num_hidden_layers", keys.required_integer("block_count")},
                 {"num_attention_heads", heads},
                 {"max_position_embeddings", keys.required_integer("context_length")},
                 {"layer_norm_eps", keys.file.number(keys.name("attention.layer_norm_epsilon"))},
                 {"rotary_pct", rotated_share(keys, hidden / std::max<int64_t>(heads, 1))},
                 {"rotary_emb_base", keys.number("rope.freq_base").value_or(10000)},
                 {"attention_bias", keys.file.find("blk.0.attn_qkv.bias") != nullptr},
                 {"qkv_sorted", true}});
  const std::string parallel = keys.name("use_parallel_residual");
  if (!keys.file.has(parallel)) return;
  const bool* said = std::get_if<bool>(&keys.file.metadata().at(parallel));
  if (said == nullptr) fail(Code::bad_input, str(keys.file.path().string(), ": ", parallel), "true or false", "another kind");
  config["use_parallel_residual"] = *said;
}

const GgufArchitecture architectures[] = {
    {.name = "gemma2",
     .model_type = "gemma2",
     .whole = &llama_whole,
     .in_block = &gemma_block,
     .keys = gemma2_keys,
     .finish = finish_gemma2,
     .norms_hold_one = true},
    {.name = "gemma3",
     .model_type = "gemma3_text",
     .whole = &llama_whole,
     .in_block = &gemma_block,
     .keys = gemma3_keys,
     .finish = finish_gemma3,
     .norms_hold_one = true},
    {.name = "gpt2",
     .model_type = "gpt2",
     .layers = "transformer.h.",
     .whole = &gpt2_whole,
     .in_block = &gpt2_block,
     .keys = gpt2_keys,
     .finish = finish_gpt2,
     .gpt = true,
     .transposes = true},
    {.name = "gptneox",
     .model_type = "gpt_neox",
     .layers = "gpt_neox.layers.",
     .whole = &neox_whole,
     .in_block = &neox_block,
     .keys = neox_keys,
     .finish = finish_neox,
     .gpt = true},
    {.name = "llama",
     .model_type = "llama",
     .whole = &llama_whole,
     .in_block = &llama_block,
     .keys = llama_keys,
     .interleaved = true},
    {.name = "phi3",
     .model_type = "phi3",
     .whole = &llama_whole,
     .in_block = &phi3_block,
     .keys = phi3_keys,
     .finish = finish_phi3,
     .read_with_config = phi3_factors,
     .partial_rotation = true},
    {.name = "qwen2", .model_type = "qwen2", .whole = &llama_whole, .in_block = &llama_block, .keys = qwen_keys},
    {.name = "qwen3", .model_type = "qwen3", .whole = &llama_whole, .in_block = &llama_block, .keys = qwen_keys},
    {.name = "smollm3",
     .model_type = "smollm3",
     .whole = &llama_whole,
     .in_block = &llama_block,
     .keys = qwen_keys,
     .interleaved = true},
};

}  // namespace

std::optional<int64_t> GgufKeys::integer(string_view key) const {
  return file.has(name(key)) ? std::optional(file.integer(name(key))) : std::nullopt;
}
std::optional<double> GgufKeys::number(string_view key) const {
  return file.has(name(key)) ? std::optional(file.number(name(key))) : std::nullopt;
}
std::optional<std::string> GgufKeys::string(string_view key) const {
  return file.has(name(key)) ? std::optional(file.string(name(key))) : std::nullopt;
}

const GgufArchitecture& gguf_architecture(const GgufFile& file) {
  const std::string named = file.string("general.architecture");
  std::string known;
  for (const GgufArchitecture& architecture : architectures) {
    if (architecture.name == named) return architecture;
    known += str(known.empty() ? "" : ", ", architecture.name);
  }
  fail(Code::bad_input, file.path().string() + ": general.architecture", "one of " + known, quote(named));
}

std::string gguf_name(const GgufArchitecture& architecture, const std::string& name) {
  if (name == rope_divisors) return name;
  const size_t end = name.rfind('.');  // ".weight" or ".bias"
  const std::string module = name.substr(0, end), suffix = name.substr(end);
  if (const auto found = architecture.whole->find(module); found != architecture.whole->end()) return found->second + suffix;
  const size_t layer = architecture.layers.size(), dot = name.find('.', layer);
  return str("blk.", name.substr(layer, dot - layer), ".", architecture.in_block->at(module.substr(dot + 1)), suffix);
}

}  // namespace dept
