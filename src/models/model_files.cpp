#include "models/model_files.h"

#include <algorithm>
#include <map>

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {
namespace {

// eos_token_id is an id or a list of ids.
std::vector<int64_t> read_eos(const Json& config, const std::string& where) {
  const auto found = config.find("eos_token_id");
  if (found == config.end() || found->is_null()) return {};
  if (found->is_array()) return require<std::vector<int64_t>>(config, "eos_token_id", where);
  return {require<int64_t>(config, "eos_token_id", where)};
}

// What an answer of an encoder-decoder starts with: its own id, else the one that begins a text (as transformers has it).
std::optional<int64_t> read_answer_start(const Json& config, const std::string& where) {
  for (const char* key : {"decoder_start_token_id", "bos_token_id"})
    if (const auto id = value_or<int64_t>(config, key, -1, where); id >= 0) return id;
  return std::nullopt;
}

Json rope_scaling_of_gguf(const GgufFile& file) {
  const std::string scaling = "llama.rope.scaling.";
  Json out = {{"rope_type", file.string(scaling + "type")}};
  if (file.has(scaling + "factor")) out["factor"] = file.number(scaling + "factor");
  if (file.has(scaling + "original_context_length"))
    out["original_max_position_embeddings"] = file.integer(scaling + "original_context_length");
  return out;
}

Json config_of_gguf(const GgufFile& file) {
  const std::string architecture = file.string("general.architecture");
  if (architecture != "llama")
    fail(Code::bad_input, file.path().string() + ": general.architecture", "llama", quote(architecture));
  const auto key = [&](std::string_view name) { return str("llama.", name); };
  Json config = {{"model_type", "llama"},
                 {"hidden_size", file.integer(key("embedding_length"))},
                 {"intermediate_size", file.integer(key("feed_forward_length"))},
                 {"num_hidden_layers", file.integer(key("block_count"))},
                 {"num_attention_heads", file.integer(key("attention.head_count"))},
                 {"rms_norm_eps", file.number(key("attention.layer_norm_rms_epsilon"))},
                 {"max_position_embeddings", file.integer(key("context_length"))},
                 {"tie_word_embeddings", file.find("output.weight") == nullptr}};
  if (file.has(key("attention.head_count_kv"))) config["num_key_value_heads"] = file.integer(key("attention.head_count_kv"));
  if (file.has(key("rope.freq_base"))) config["rope_theta"] = file.number(key("rope.freq_base"));
  if (file.has(key("rope.dimension_count"))) config["head_dim"] = file.integer(key("rope.dimension_count"));
  const TensorInfo* embedding = file.find("token_embd.weight");
  if (embedding == nullptr || embedding->shape.size() != 2)
    fail(Code::bad_input, file.path().string(), "a tensor token_embd.weight [V, D]", "none");
  config["vocab_size"] = embedding->shape[0];
  if (file.has(key("rope.scaling.type")) && file.string(key("rope.scaling.type")) != "none")
    config["rope_scaling"] = rope_scaling_of_gguf(file);
  for (const auto& [ours, theirs] :
       std::map<std::string, std::string>{{"bos_token_id", "bos"}, {"eos_token_id", "eos"}, {"pad_token_id", "padding"}}) {
    const std::string name = str("tokenizer.ggml.", theirs, "_token_id");
    if (file.has(name)) config[ours] = file.integer(name);
  }
  return config;
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
  if (const auto found = whole.find(name); found != whole.end()) return found->second;
  const size_t layer = std::string("model.layers.").size(), dot = name.find('.', layer), end = name.rfind(".weight");
  return str("blk.", name.substr(layer, dot - layer), ".", in_block.at(name.substr(dot + 1, end - dot - 1)), ".weight");
}

// GGUF interleaves the two halves of each head of Q and K: [heads, K/2, 2, D] back to [heads, 2, K/2, D].
at::Tensor unpermute(const at::Tensor& weight, int64_t heads) {
  const int64_t rows = weight.size(0), columns = weight.size(1);
  return weight.view({heads, rows / heads / 2, 2, columns}).transpose(1, 2).reshape({rows, columns});
}

nn::WeightLoader gguf_loader(std::shared_ptr<const GgufFile> file, int64_t heads, int64_t kv_heads) {
  const auto in_order = [=](const std::string& name, const at::Tensor& rows) {
    if (name.ends_with(".q_proj.weight")) return unpermute(rows, heads);
    if (name.ends_with(".k_proj.weight")) return unpermute(rows, kv_heads);
    return rows;
  };
  const auto read = [=](const std::string& name, at::IntArrayRef shape, at::ScalarType dtype) {
    return in_order(name, file->read(gguf_name(name), shape, dtype));
  };
  const auto read_stored = [=](const std::string& name, at::IntArrayRef shape) -> kernels::StoredRows {
    const GgufBlocks blocks = file->blocks(gguf_name(name), shape);
    if (blocks.type != nullptr) return {in_order(name, blocks.bytes), blocks.type};
    const at::ScalarType plain = file->read(gguf_name(name)).scalar_type();
    return {read(name, shape, plain == at::kHalf || plain == at::kBFloat16 ? plain : at::kFloat)};
  };
  return nn::WeightLoader(read, read_stored);
}

ModelFiles open_gguf_model(const fs::path& path, bool with_weights) {
  const std::shared_ptr<const GgufFile> file = open_gguf(path);
  ModelFiles model{config_of_gguf(*file), path.string(), {}, nullptr, {}};
  model.eos_ids = read_eos(model.config, model.where);
  if (!with_weights) return model;
  const int64_t heads = require<int64_t>(model.config, "num_attention_heads", model.where);
  const int64_t kv_heads = value_or<int64_t>(model.config, "num_key_value_heads", heads, model.where);
  if (heads < 1 || kv_heads < 1) fail(Code::bad_input, model.where, "head counts of at least 1", str(heads, " and ", kv_heads));
  model.weights = file;
  model.loader = gguf_loader(file, heads, kv_heads);
  return model;
}

}  // namespace

ModelFiles open_model(const fs::path& path, bool with_weights) {
  if (path.extension() == ".gguf") return open_gguf_model(path, with_weights);
  std::error_code ignored;
  if (!fs::is_directory(path, ignored))
    fail(Code::io, "model_name_or_path", "a folder with config.json or a .gguf file", quote(path.string()));
  const fs::path config = path / "config.json", generation = path / "generation_config.json";
  ModelFiles model{read_json(config), config.string(), {}, nullptr, {}};
  model.eos_ids = read_eos(model.config, model.where);
  model.answer_start_id = read_answer_start(model.config, model.where);
  if (fs::exists(generation)) {
    const Json said = read_json(generation);
    const std::vector<int64_t> ids = read_eos(said, generation.string());
    if (!ids.empty()) model.eos_ids = ids;
    if (const auto start = read_answer_start(said, generation.string())) model.answer_start_id = start;
  }
  if (!with_weights) return model;
  model.weights = open_weights(path);
  model.loader = nn::WeightLoader([weights = model.weights](const std::string& name, at::IntArrayRef shape,
                                                            at::ScalarType dtype) { return weights->read(name, shape, dtype); });
  return model;
}

}  // namespace dept
