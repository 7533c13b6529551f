#include "models/llama.h"

#include <cmath>

#include "models/arithmetic.h"
#include "models/decoder.h"
#include "models/head.h"

namespace dept {
namespace {

// Mistral and Qwen2 are Llama as long as every token sees all before it. Mistral's window is 4096 where the file does not say.
void refuse_sliding_window(const Json& config, const LlamaConfig& c, const std::string& where) {
  const bool unsaid = c.model_type == "mistral" && !config.contains("sliding_window");
  const bool on = value_or<bool>(config, "use_sliding_window", c.model_type != "qwen2", where);
  const int64_t window = unsaid ? 4096 : on ? value_or<int64_t>(config, "sliding_window", 0, where) : 0;
  if (window > 0 && window < c.max_positions)
    fail(Code::bad_input, where + ": sliding_window", str("none, or at least max_position_embeddings, ", c.max_positions),
         str(window));
}

DecoderBlock<nn::RmsNorm> load_block(const LlamaConfig& c, const ModelFiles& files, const ModelContext& context,
                                     const std::string& name) {
  const auto norm = [&](std::string_view key) {
    return nn::RmsNorm{files.loader(str(name, key, ".weight"), {c.hidden}, context.residual()), c.eps, context.kernels};
  };
  const auto linear = [&](std::vector<nn::LinearSpec::Part> parts, int64_t in, bool bias) {
    for (nn::LinearSpec::Part& part : parts) part.name = name + part.name;
    return files.loader.linear({std::move(parts), in, bias}, context.compute);
  };
  const int64_t q = c.heads * c.head_dim, kv = c.kv_heads * c.head_dim;
  DecoderBlock<nn::RmsNorm> block;
  block.attention_norm = norm("input_layernorm");
  block.attention = {linear({{"self_attn.q_proj", q}, {"self_attn.k_proj", kv}, {"self_attn.v_proj", kv}}, c.hidden, c.qkv_bias),
                     linear({{"self_attn.o_proj", c.hidden}}, q, c.out_bias), c.heads, c.kv_heads, c.head_dim};
  block.attention_scale = 1 / std::sqrt(static_cast<double>(c.head_dim));
  block.feed_forward_norm = norm("post_attention_layernorm");
  block.feed_forward = {linear({{"mlp.gate_proj", c.intermediate}, {"mlp.up_proj", c.intermediate}}, c.hidden, c.mlp_bias),
                        linear({{"mlp.down_proj", c.hidden}}, c.intermediate, c.mlp_bias), kernels::Activation::silu, true};
  return block;
}

}  // namespace

LlamaConfig read_llama_config(const Json& config, const std::string& where) {
  LlamaConfig c{};
  c.model_type = value_or<std::string>(config, "model_type", "llama", where);
  c.hidden = require_size(config, "hidden_size", where);
  c.intermediate = require_size(config, "intermediate_size", where);
  c.layers = require_size(config, "num_hidden_layers", where);
  c.heads = require_size(config, "num_attention_heads", where);
  const bool grouped = c.model_type != "llama" || config.contains("num_key_value_heads");  // the others' default is not heads
  c.kv_heads = grouped ? require_size(config, "num_key_value_heads", where) : c.heads;
  c.head_dim =
      config.contains("head_dim") && !config["head_dim"].is_null() ? require_size(config, "head_dim", where) : c.hidden / c.heads;
  c.vocab = require_size(config, "vocab_size", where);
  c.max_positions = config.contains("max_position_embeddings") ? require_size(config, "max_position_embeddings", where) : 2048;
  c.eps = read_epsilon(config, "rms_norm_eps", 1e-6, where);
  c.attention_dropout = read_dropout(config, "attention_dropout", 0, where);
  c.tied = value_or<bool>(config, "tie_word_embeddings", false, where);
  const bool biases = value_or<bool>(config, "attention_bias", false, where);
  c.qkv_bias = value_or<bool>(config, "qkv_bias", biases || c.model_type == "qwen2", where);
  c.out_bias = value_or<bool>(config, "out_bias", biases, where);
  c.mlp_bias = value_or<bool>(config, "mlp_bias", false, where);
  if (c.heads % c.kv_heads != 0)
    fail(Code::bad_input, where + ": num_key_value_heads", str("a divisor of ", c.heads), str(c.kv_heads));
  if (c.head_dim < 2 || c.head_dim % 2 != 0) fail(Code::bad_input, where + ": head_dim", "an even number", str(c.head_dim));
  c.rope = read_rope_scaling(config, c.head_dim, where);
  refuse_sliding_window(config, c, where);
  for (const char* key : {"hidden_act", "hidden_activation"})
    if (const auto act = value_or<std::string>(config, key, "silu", where); act != "silu")
      fail(Code::bad_input, str(where, ": ", key), "silu", quote(act));
  require_neutral(config, {"is_causal", {true}}, where);
  return c;
}

ModelInfo llama_info(const Json& config, const std::string& where) {
  const LlamaConfig c = read_llama_config(config, where);
  ModelInfo info;
  info.model_type = c.model_type;
  info.hidden = c.hidden;
  info.layers = c.layers;
  info.heads = c.heads;
  info.vocab = c.vocab;
  info.max_positions = c.max_positions;
  info.tied = c.tied;
  info.dropout = c.attention_dropout;
  const int64_t qkv = (c.heads + 2 * c.kv_heads) * c.head_dim, q = c.heads * c.head_dim;
  const int64_t attention = c.hidden * (qkv + q) + (c.qkv_bias ? qkv : 0) + (c.out_bias ? c.hidden : 0);
  const int64_t feed_forward = 3 * c.hidden * c.intermediate + (c.mlp_bias ? 2 * c.intermediate + c.hidden : 0);
  info.parameters = c.layers * (attention + feed_forward + 2 * c.hidden) + c.hidden + c.vocab * c.hidden * (c.tied ? 1 : 2);
  info.embedding_parameters = c.vocab * c.hidden;
  info.bos_id = optional_id(config, "bos_token_id", where);
  info.pad_id = optional_id(config, "pad_token_id", where);
  return info;
}

std::unique_ptr<Backbone> make_llama(const ModelFiles& files, const ModelContext& context) {
  const LlamaConfig c = read_llama_config(files.config, files.where);
  const std::string base = name_prefix(files, {"model.", ""}, "embed_tokens.weight");
  DecoderWeights<nn::RmsNorm> weights;
  weights.info = llama_info(files.config, files.where);
  weights.embedding.table = files.loader.matrix(base + "embed_tokens.weight", {c.vocab, c.hidden}, context.compute);
  weights.head.table = load_decoder_head(files, weights.embedding.table, context.compute, weights.info);
  weights.rope = {c.rope.frequency.to(context.device), c.rope.factor};
  weights.attention_dropout = c.attention_dropout;
  if (files.weights != nullptr && files.weights->find("rope_freqs.weight") != nullptr)  // GGUF: Llama 3's scaling as divisors
    weights.rope.frequency /= files.loader("rope_freqs.weight", {c.head_dim / 2}, at::kDouble);
  weights.final_norm = {files.loader(base + "norm.weight", {c.hidden}, context.residual()), c.eps, context.kernels};
  for (int64_t i = 0; i < c.layers; ++i) weights.blocks.push_back(load_block(c, files, context, str(base, "layers.", i, ".")));
  return std::make_unique<Decoder<nn::RmsNorm>>(std::move(weights), files, context);
}

}  // namespace dept
