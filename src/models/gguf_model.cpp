#include "models/gguf_model.h"

#include <algorithm>
#include <map>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "models/arithmetic.h"

namespace dept {
namespace {

constexpr std::string_view prefix = "llama.";

// Keys that config_of_gguf reads, and those that change no result of a language model.
constexpr std::string_view known_keys[] = {"embedding_length",
                                           "feed_forward_length",
                                           "block_count",
                                           "context_length",
                                           "vocab_size",
                                           "pooling_type",
                                           "attention.head_count",
                                           "attention.head_count_kv",
                                           "attention.layer_norm_rms_epsilon",
                                           "attention.key_length",
                                           "attention.value_length",
                                           "attention.sliding_window",
                                           "rope.freq_base",
                                           "rope.dimension_count",
                                           "rope.scale_linear",
                                           "rope.scaling.type",
                                           "rope.scaling.factor",
                                           "rope.scaling.original_context_length",
                                           "rope.scaling.finetuned",
                                           "rope.scaling.yarn_beta_fast",
                                           "rope.scaling.yarn_beta_slow"};

const std::vector<NeutralField>& neutral_keys() {
  static const std::vector<NeutralField> keys = {{"attention.causal", {true}},
                                                 {"attention.clamp_kqv", {0}},
                                                 {"attention.max_alibi_bias", {0}},
                                                 {"attention.scale", {0}},
                                                 {"attn_logit_softcapping", {0}},
                                                 {"embedding_scale", {0, 1}},
                                                 {"expert_count", {0}},
                                                 {"expert_used_count", {0}},
                                                 {"final_logit_softcapping", {0}},
                                                 {"logit_scale", {0, 1}},
                                                 {"residual_scale", {0, 1}},
                                                 {"rope.scaling.attn_factor", {1}},
                                                 {"rope.scaling.yarn_attn_factor", {1}},
                                                 {"rope.scaling.yarn_ext_factor", {1}},
                                                 {"tensor_data_layout", {"Meta AI original pth"}},
                                                 {"use_parallel_residual", {false}}};
  return keys;
}

// Every key of the architecture is read, or has a value that changes nothing.
void refuse_other_keys(const GgufFile& file) {
  for (const auto& [key, value] : file.metadata()) {
    if (!key.starts_with(prefix)) continue;
    const std::string_view name = std::string_view(key).substr(prefix.size());
    if (std::find(std::begin(known_keys), std::end(known_keys), name) != std::end(known_keys)) continue;
    const auto& fields = neutral_keys();
    const auto field = std::find_if(fields.begin(), fields.end(), [&](const NeutralField& each) { return each.key == name; });
    const Json json = std::visit([](const auto& held) { return Json(held); }, value);
    require_neutral({key, field == fields.end() ? std::vector<Json>() : field->values}, json, file.path().string());
  }
}

// As llama.cpp: a factor alone is a linear one, under its old name too.
void read_rope(const GgufFile& file, Json& config) {
  const auto key = [](std::string_view name) { return str(prefix, "rope.", name); };
  if (file.has(key("freq_base"))) config["rope_theta"] = file.number(key("freq_base"));
  double factor = 0;
  for (const char* name : {"scaling.factor", "scale_linear"})
    if (factor == 0 && file.has(key(name))) factor = file.number(key(name));
  const std::string type = file.has(key("scaling.type")) ? file.string(key("scaling.type")) : factor == 0 ? "none" : "linear";
  if (type == "none" || (type == "linear" && (factor == 0 || factor == 1))) return;
  Json scaling = {{"rope_type", type}, {"factor", factor}};
  if (file.has(key("scaling.original_context_length")))
    scaling["original_max_position_embeddings"] = file.integer(key("scaling.original_context_length"));
  for (const char* beta : {"beta_fast", "beta_slow"})
    if (file.has(key(str("scaling.yarn_", beta)))) scaling[beta] = file.number(key(str("scaling.yarn_", beta)));
  config["rope_scaling"] = std::move(scaling);
}

// Keys, values and rotation have one width here.
void read_head_dim(const GgufFile& file, Json& config) {
  std::string first;
  for (const char* name : {"attention.key_length", "attention.value_length", "rope.dimension_count"}) {
    const std::string key = str(prefix, name);
    if (!file.has(key)) continue;
    const int64_t width = file.integer(key);
    if (first.empty()) {
      first = key;
      config["head_dim"] = width;
    } else if (config["head_dim"] != width) {
      fail(Code::bad_input, str(file.path().string(), ": ", key), str(config["head_dim"].get<int64_t>(), ", as ", first, " says"),
           str(width));
    }
  }
}

// Biases stand in the tensors alone. Those of some layers, or of Q without K, end in a tensor that is not there.
void find_biases(const GgufFile& file, Json& config) {
  const auto any = [&](std::initializer_list<std::string_view> names) {
    return std::any_of(names.begin(), names.end(),
                       [&](std::string_view name) { return file.find(str("blk.0.", name, ".bias")) != nullptr; });
  };
  config["qkv_bias"] = any({"attn_q", "attn_k", "attn_v"});
  config["out_bias"] = any({"attn_output"});
  config["mlp_bias"] = any({"ffn_gate", "ffn_up", "ffn_down"});
}

// Hugging Face's name of a Llama tensor -> GGUF's.
std::string gguf_name(const std::string& name) {
  static const std::map<std::string, std::string, std::less<>> whole = {{"model.embed_tokens.weight", "token_embd.weight"},
                                                                        {"model.norm.weight", "output_norm.weight"},
                                                                        {"lm_head.weight", "output.weight"}};
  static const std::map<std::string, std::string, std::less<>> in_block = {
      {"self_attn.q_proj", "attn_q"},      {"self_attn.k_proj", "attn_k"},   {"self_attn.v_proj", "attn_v"},
      {"self_attn.o_proj", "attn_output"}, {"input_layernorm", "attn_norm"}, {"post_attention_layernorm", "ffn_norm"},
      {"mlp.gate_proj", "ffn_gate"},       {"mlp.up_proj", "ffn_up"},        {"mlp.down_proj", "ffn_down"}};
  static constexpr std::string_view layers = "model.layers.";
  if (const auto found = whole.find(name); found != whole.end()) return found->second;
  if (!name.starts_with(layers)) return name;  // rope_freqs.weight, which is GGUF's alone
  const size_t layer = layers.size(), dot = name.find('.', layer), end = name.rfind('.');  // ".weight" or ".bias"
  return str("blk.", name.substr(layer, dot - layer), ".", in_block.at(name.substr(dot + 1, end - dot - 1)), name.substr(end));
}

// GGUF interleaves the two halves of each head of Q and K: [heads, K/2, 2, ...] back to [heads, 2, K/2, ...].
at::Tensor unpermute(const at::Tensor& weight, int64_t heads) {
  return weight.view({heads, weight.size(0) / heads / 2, 2, -1}).transpose(1, 2).reshape(weight.sizes());
}

}  // namespace

Json config_of_gguf(const GgufFile& file) {
  const std::string architecture = file.string("general.architecture");
  if (architecture != "llama")
    fail(Code::bad_input, file.path().string() + ": general.architecture", "llama", quote(architecture));
  refuse_other_keys(file);
  const auto key = [](std::string_view name) { return str(prefix, name); };
  Json config = {{"model_type", "llama"},
                 {"hidden_size", file.integer(key("embedding_length"))},
                 {"intermediate_size", file.integer(key("feed_forward_length"))},
                 {"num_hidden_layers", file.integer(key("block_count"))},
                 {"num_attention_heads", file.integer(key("attention.head_count"))},
                 {"rms_norm_eps", file.number(key("attention.layer_norm_rms_epsilon"))},
                 {"max_position_embeddings", file.integer(key("context_length"))},
                 {"tie_word_embeddings", file.find("output.weight") == nullptr}};
  if (file.has(key("attention.head_count_kv"))) config["num_key_value_heads"] = file.integer(key("attention.head_count_kv"));
  if (file.has(key("attention.sliding_window"))) config["sliding_window"] = file.integer(key("attention.sliding_window"));
  read_rope(file, config);
  read_head_dim(file, config);
  find_biases(file, config);
  const TensorInfo* embedding = file.find("token_embd.weight");
  if (embedding == nullptr || embedding->shape.size() != 2)
    fail(Code::bad_input, file.path().string(), "a tensor token_embd.weight [V, D]", "none");
  config["vocab_size"] = embedding->shape[0];
  for (const auto& [ours, theirs] :
       std::map<std::string, std::string>{{"bos_token_id", "bos"}, {"eos_token_id", "eos"}, {"pad_token_id", "padding"}}) {
    const std::string name = str("tokenizer.ggml.", theirs, "_token_id");
    if (file.has(name)) config[ours] = file.integer(name);
  }
  return config;
}

nn::WeightLoader gguf_loader(std::shared_ptr<const GgufFile> file, const Json& config, const std::string& where,
                             std::shared_ptr<TensorNames> names) {
  const int64_t heads = require<int64_t>(config, "num_attention_heads", where);
  const int64_t kv_heads = value_or<int64_t>(config, "num_key_value_heads", heads, where);
  if (heads < 1 || kv_heads < 1) fail(Code::bad_input, where, "head counts of at least 1", str(heads, " and ", kv_heads));
  const auto in_order = [=](const std::string& name, const at::Tensor& rows) {
    if (name.find(".q_proj.") != name.npos) return unpermute(rows, heads);
    if (name.find(".k_proj.") != name.npos) return unpermute(rows, kv_heads);
    return rows;
  };
  const auto read = [=](const std::string& name, at::IntArrayRef shape, at::ScalarType dtype) {
    const std::string& stored = *names->insert(gguf_name(name)).first;
    return in_order(name, file->read(stored, shape, dtype));
  };
  const auto read_stored = [=](const std::string& name, at::IntArrayRef shape) -> kernels::StoredRows {
    const std::string& stored = *names->insert(gguf_name(name)).first;
    const GgufBlocks blocks = file->blocks(stored, shape);
    if (blocks.type != nullptr) return {in_order(name, blocks.bytes), blocks.type};
    const at::ScalarType plain = file->read(stored).scalar_type();
    return {read(name, shape, plain == at::kHalf || plain == at::kBFloat16 ? plain : at::kFloat)};
  };
  return nn::WeightLoader(read, read_stored);
}

}  // namespace dept
