#include "models/gguf_model.h"

#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cmath>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "models/arithmetic.h"
#include "models/gguf_architectures.h"

namespace dept {
namespace {

// Keys that config_of_gguf reads of every architecture, and those that change no result of a language model.
constexpr std::string_view known_keys[] = {"embedding_length",
                                           "feed_forward_length",
                                           "block_count",
                                           "context_length",
                                           "vocab_size",
                                           "pooling_type",
                                           "attention.head_count",
                                           "attention.head_count_kv",
                                           "attention.key_length",
                                           "attention.value_length",
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

bool is_known(const GgufArchitecture& architecture, std::string_view key) {
  const auto has = [&](std::span<const std::string_view> keys) { return std::find(keys.begin(), keys.end(), key) != keys.end(); };
  return has(known_keys) || has(architecture.keys);
}

// Every key of the architecture is read, or has a value that changes nothing.
void refuse_other_keys(const GgufFile& file, const GgufArchitecture& architecture) {
  for (const auto& [key, value] : file.metadata()) {
    const std::string prefix = str(architecture.name, ".");
    if (!key.starts_with(prefix)) continue;
    const std::string_view name = std::string_view(key).substr(prefix.size());
    if (is_known(architecture, name)) continue;
    const auto& fields = neutral_keys();
    const auto field = std::find_if(fields.begin(), fields.end(), [&](const NeutralField& each) { return each.key == name; });
    const Json json = std::visit([](const auto& held) { return Json(held); }, value);
    require_neutral({key, field == fields.end() ? std::vector<Json>() : field->values}, json, file.path().string());
  }
}

// As llama.cpp: a factor alone is a linear one, under its old name too.
void read_rope(const GgufKeys& keys, Json& config) {
  if (const auto base = keys.number("rope.freq_base")) config["rope_theta"] = *base;
  double factor = keys.number("rope.scaling.factor").value_or(0);
  if (factor == 0) factor = keys.number("rope.scale_linear").value_or(0);
  const std::string type = keys.string("rope.scaling.type").value_or(factor == 0 ? "none" : "linear");
  if (type == "none" || (type == "linear" && (factor == 0 || factor == 1))) return;
  Json scaling = {{"rope_type", type}, {"factor", factor}};
  if (const auto length = keys.integer("rope.scaling.original_context_length"))
    scaling["original_max_position_embeddings"] = *length;
  for (const char* beta : {"beta_fast", "beta_slow"})
    if (const auto value = keys.number(str("rope.scaling.yarn_", beta))) scaling[beta] = *value;
  config["rope_scaling"] = std::move(scaling);
}

// Keys, values and rotation have one width; the rotation may have a smaller one where the architecture's finish() reads it.
void read_head_dim(const GgufKeys& keys, bool partial, Json& config) {
  std::string first;
  for (const char* name : {"attention.key_length", "attention.value_length", "rope.dimension_count"}) {
    const auto width = keys.integer(name);
    if (!width || (partial && name == std::string_view("rope.dimension_count"))) continue;
    if (first.empty()) {
      first = keys.name(name);
      config["head_dim"] = *width;
    } else if (config["head_dim"] != *width) {
      fail(Code::bad_input, str(keys.file.path().string(), ": ", keys.name(name)),
           str(config["head_dim"].get<int64_t>(), ", as ", first, " says"), str(*width));
    }
  }
}

// Biases stand in the tensors alone. Those of some layers, or of Q without K, end in a tensor that is not there.
void find_biases(const GgufFile& file, Json& config) {
  const auto any = [&](std::initializer_list<std::string_view> names) {
    return std::any_of(names.begin(), names.end(),
                       [&](std::string_view name) { return file.find(str("blk.0.", name, ".bias")) != nullptr; });
  };
  config["qkv_bias"] = any({"attn_q", "attn_k", "attn_v", "attn_qkv"});
  config["out_bias"] = any({"attn_output"});
  config["mlp_bias"] = any({"ffn_gate", "ffn_up", "ffn_down"});
}

Json llama_config(const GgufKeys& keys, const GgufArchitecture& architecture) {
  Json config = {{"hidden_size", keys.required_integer("embedding_length")},
                 {"intermediate_size", keys.required_integer("feed_forward_length")},
                 {"num_hidden_layers", keys.required_integer("block_count")},
                 {"num_attention_heads", keys.required_integer("attention.head_count")},
                 {"rms_norm_eps", keys.file.number(keys.name("attention.layer_norm_rms_epsilon"))},
                 {"max_position_embeddings", keys.required_integer("context_length")}};
  config["num_key_value_heads"] = keys.integer("attention.head_count_kv").value_or(config["num_attention_heads"].get<int64_t>());
  if (const auto window = keys.integer("attention.sliding_window"); window && *window > 0) config["sliding_window"] = *window;
  read_rope(keys, config);
  read_head_dim(keys, architecture.partial_rotation, config);
  find_biases(keys.file, config);
  return config;
}

// GGUF interleaves the two halves of each head of Q and K: [heads, K/2, 2, ...] back to [heads, 2, K/2, ...].
at::Tensor unpermute(const at::Tensor& weight, int64_t heads) {
  return weight.view({heads, weight.size(0) / heads / 2, 2, -1}).transpose(1, 2).reshape(weight.sizes());
}

}  // namespace

Json config_of_gguf(const GgufFile& file) {
  const GgufArchitecture& architecture = gguf_architecture(file);
  refuse_other_keys(file, architecture);
  const GgufKeys keys{file, architecture.name};
  Json config = architecture.gpt ? Json::object() : llama_config(keys, architecture);
  config["model_type"] = architecture.model_type;
  config["tie_word_embeddings"] = file.find("output.weight") == nullptr;
  if (architecture.finish != nullptr) architecture.finish(keys, config);
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
  const GgufArchitecture& architecture = gguf_architecture(*file);
  const int64_t heads = value_or<int64_t>(config, "num_attention_heads", 1, where);
  const int64_t kv_heads = value_or<int64_t>(config, "num_key_value_heads", heads, where);
  if (heads < 1 || kv_heads < 1) fail(Code::bad_input, where, "head counts of at least 1", str(heads, " and ", kv_heads));
  for (const std::string_view name : architecture.read_with_config) names->insert(std::string(name));
  const auto in_order = [=, interleaved = architecture.interleaved](const std::string& name, const at::Tensor& rows) {
    if (interleaved && name.find(".q_proj.") != name.npos) return unpermute(rows, heads);
    if (interleaved && name.find(".k_proj.") != name.npos) return unpermute(rows, kv_heads);
    return rows;
  };
  const auto read = [=, &architecture](const std::string& name, at::IntArrayRef shape, at::ScalarType dtype) {
    const std::string& stored = *names->insert(gguf_name(architecture, name)).first;
    if (architecture.transposes && shape.size() == 2 && stored.starts_with("blk."))
      return file->read(stored, {shape[1], shape[0]}, dtype).t().contiguous();
    const at::Tensor rows = in_order(name, file->read(stored, shape, dtype));
    return architecture.norms_hold_one && shape.size() == 1 && stored != rope_divisors ? rows - 1 : rows;
  };
  const auto read_stored = [=, &architecture](const std::string& name, at::IntArrayRef shape) -> kernels::StoredRows {
    const std::string& stored = *names->insert(gguf_name(architecture, name)).first;
    const GgufBlocks blocks = file->blocks(stored, shape);
    if (blocks.type != nullptr) return {in_order(name, blocks.bytes), blocks.type};
    const at::ScalarType plain = file->read(stored).scalar_type();
    const at::ScalarType held = plain == at::kHalf || plain == at::kBFloat16 ? plain : at::kFloat;
    return {in_order(name, file->read(stored, shape, held))};
  };
  return nn::WeightLoader(read, read_stored);
}

}  // namespace dept
