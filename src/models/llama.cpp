#include "models/llama.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/scalar_tensor.h>

#include <algorithm>
#include <cmath>

#include "models/arithmetic.h"
#include "models/decoder.h"
#include "models/head.h"
#include "models/llama_families.h"

namespace dept {
namespace {

constexpr int64_t most_layers = 4096;

// Llama has no window: one that would cut a text off is refused.
void refuse_window(const Json& config, const std::string& where, LlamaConfig& c) {
  const bool on = value_or<bool>(config, "use_sliding_window", true, where);
  const int64_t window = on ? value_or<int64_t>(config, "sliding_window", 0, where) : 0;
  if (window > 0 && window < c.max_positions)
    fail(Code::bad_input, where + ": sliding_window", str("none, or at least max_position_embeddings, ", c.max_positions),
         str(window));
}

void slide_everywhere(const Json& config, const std::string& where, LlamaConfig& c) {
  const int64_t window = read_window(config, "sliding_window", 4096, where);
  for (LlamaLayer& layer : c.layer) layer.window = window;
}

const LlamaFamily& family_of(const std::string& model_type) {
  static const LlamaFamily llama = {"llama", {.own_heads = true}, refuse_window};
  for (const LlamaFamily* family : {&mistral_family, &qwen2_family, &qwen3_family, &gemma2_family, &gemma3_family,
                                    &smollm3_family, &olmo2_family, &granite_family, &phi3_family})
    if (family->model_type == model_type) return *family;
  return llama;
}

bool said(const Json& config, const char* key) {
  const auto found = config.find(key);
  return found != config.end() && !found->is_null();
}

void read_llama_activation(const Json& config, const LlamaDefaults& defaults, const std::string& where, LlamaConfig& c) {
  const std::string_view own = defaults.activation_key;
  if (own != "hidden_act") {
    c.activation = read_activation(config, own, defaults.activation, where);
    return;
  }
  for (const char* key : {"hidden_act", "hidden_activation"})
    if (const auto act = value_or<std::string>(config, key, "silu", where); act != "silu")
      fail(Code::bad_input, str(where, ": ", key), "silu", quote(act));
}

nn::RmsNorm load_norm(const LlamaConfig& c, const ModelFiles& files, const ModelContext& context, const std::string& name,
                      int64_t width) {
  at::Tensor weight = files.loader(name + ".weight", {width}, context.residual());
  return {c.one_plus_weight ? weight + 1 : weight, c.eps, context.kernels};
}

// The parts of a block, as the tensors under `name` say.
struct BlockLoader {
  const LlamaConfig& c;
  const ModelFiles& files;
  const ModelContext& context;
  std::string name;

  std::optional<nn::RmsNorm> norm(std::string_view key) const {
    if (key.empty()) return std::nullopt;
    return load_norm(c, files, context, str(name, key), c.hidden);
  }
  kernels::FrozenLinear linear(std::vector<nn::LinearSpec::Part> parts, int64_t in, bool bias) const {
    for (nn::LinearSpec::Part& part : parts) part.name = name + part.name;
    return files.loader.linear({std::move(parts), in, bias}, context.compute);
  }
  nn::SelfAttention attention() const {
    const int64_t q = c.heads * c.head_dim, kv = c.kv_heads * c.head_dim;
    std::vector<nn::LinearSpec::Part> parts = {{"self_attn.q_proj", q}, {"self_attn.k_proj", kv}, {"self_attn.v_proj", kv}};
    if (c.fused) parts = {{"self_attn.qkv_proj", q + 2 * kv}};
    nn::SelfAttention made{linear(std::move(parts), c.hidden, c.qkv_bias),
                           linear({{"self_attn.o_proj", c.hidden}}, q, c.out_bias), c.heads, c.kv_heads, c.head_dim};
    if (c.query_key_norms == QueryKeyNorms::none) return made;
    const bool all = c.query_key_norms == QueryKeyNorms::all_heads;
    made.norm = nn::QueryKeyNorm{load_norm(c, files, context, name + "self_attn.q_norm", all ? q : c.head_dim),
                                 load_norm(c, files, context, name + "self_attn.k_norm", all ? kv : c.head_dim)};
    return made;
  }
  nn::FeedForward feed_forward() const {
    std::vector<nn::LinearSpec::Part> parts = {{"mlp.gate_proj", c.intermediate}, {"mlp.up_proj", c.intermediate}};
    if (c.fused) parts = {{"mlp.gate_up_proj", 2 * c.intermediate}};
    return {linear(std::move(parts), c.hidden, c.mlp_bias), linear({{"mlp.down_proj", c.hidden}}, c.intermediate, c.mlp_bias),
            c.activation, true};
  }
};

DecoderBlock<nn::RmsNorm> load_block(const BlockLoader& load, const LlamaLayer& layer) {
  const LlamaConfig& c = load.c;
  DecoderBlock<nn::RmsNorm> block;
  block.around_attention = {load.norm(c.norms.before_attention), load.norm(c.norms.after_attention), c.branch_factor};
  block.attention = load.attention();
  block.form = {c.attention_scale, layer.window, c.score_cap, layer.rotation};
  block.around_feed_forward = {load.norm(c.norms.before_feed_forward), load.norm(c.norms.after_feed_forward), c.branch_factor};
  block.feed_forward = load.feed_forward();
  return block;
}

// A factor as transformers keeps it: in fp32, then in the model's type.
double rounded(double factor, at::ScalarType dtype) {
  return at::scalar_tensor(factor, at::kFloat).to(dtype).item<double>();
}

int64_t block_parameters(const LlamaConfig& c) {
  const int64_t q = c.heads * c.head_dim, kv = c.kv_heads * c.head_dim, qkv = q + 2 * kv;
  const int64_t attention = c.hidden * (qkv + q) + (c.qkv_bias ? qkv : 0) + (c.out_bias ? c.hidden : 0);
  const int64_t feed_forward = 3 * c.hidden * c.intermediate + (c.mlp_bias ? 2 * c.intermediate + c.hidden : 0);
  const int64_t norms = c.query_key_norms == QueryKeyNorms::none        ? 0
                        : c.query_key_norms == QueryKeyNorms::all_heads ? q + kv
                                                                        : 2 * c.head_dim;
  return attention + feed_forward + norms + c.norms.count() * c.hidden;
}

}  // namespace

const LlamaFamily mistral_family = {"mistral", {.max_positions = 131072}, slide_everywhere};

std::vector<bool> read_sliding_layers(const Json& config, int64_t layers, const std::string& where) {
  if (!said(config, "layer_types")) return {};
  const auto types = require<std::vector<std::string>>(config, "layer_types", where);
  if (static_cast<int64_t>(types.size()) != layers)
    fail(Code::bad_input, where + ": layer_types", str(layers, " types, one a layer"), str(types.size()));
  std::vector<bool> slides;
  for (const std::string& type : types) {
    if (type != "full_attention" && type != "sliding_attention")
      fail(Code::bad_input, where + ": layer_types", "full_attention or sliding_attention", quote(type));
    slides.push_back(type == "sliding_attention");
  }
  return slides;
}

void set_windows(const Json& config, const std::string& where, int64_t window, LlamaConfig& c,
                 const std::function<bool(int64_t layer)>& slides) {
  const std::vector<bool> types = read_sliding_layers(config, c.layers, where);
  for (int64_t i = 0; i < c.layers; ++i) {
    if (!(types.empty() ? slides(i) : types[i])) continue;
    if (window == 0)
      fail(Code::bad_input, where + ": layer_types", "full_attention alone, as there is no sliding_window", "sliding_attention");
    c.layer[i].window = window;
  }
}

int64_t read_window(const Json& config, std::string_view key, int64_t fallback, const std::string& where) {
  const auto found = config.find(std::string(key));
  if (found != config.end() && found->is_null()) return 0;
  const int64_t window = value_or<int64_t>(config, key, fallback, where);
  if (found != config.end() && window < 1) fail(Code::bad_input, str(where, ": ", key), "at least 1, or null", str(window));
  return window;
}

double read_positive(const Json& config, std::string_view key, double fallback, const std::string& where) {
  const auto found = config.find(std::string(key));
  if (found != config.end() && found->is_null()) return 0;
  const double value = value_or<double>(config, key, fallback, where);
  if (found != config.end() && !(value > 0 && std::isfinite(value)))
    fail(Code::bad_input, str(where, ": ", key), "a positive number", str(value));
  return value;
}

LlamaConfig read_llama_config(const Json& config, const std::string& where) {
  LlamaConfig c{};
  c.model_type = value_or<std::string>(config, "model_type", "llama", where);
  const LlamaFamily& family = family_of(c.model_type);
  const LlamaDefaults& defaults = family.defaults;
  c.hidden = require_size(config, "hidden_size", where);
  c.intermediate = require_size(config, "intermediate_size", where);
  c.layers = require_size(config, "num_hidden_layers", where);
  if (c.layers > most_layers) fail(Code::bad_input, where + ": num_hidden_layers", str("at most ", most_layers), str(c.layers));
  c.heads = require_size(config, "num_attention_heads", where);
  const bool unsaid = defaults.own_heads && !said(config, "num_key_value_heads");
  c.kv_heads = unsaid ? c.heads : require_size(config, "num_key_value_heads", where);
  c.head_dim = said(config, "head_dim") ? require_size(config, "head_dim", where)
               : defaults.head_dim == 0 ? c.hidden / c.heads
                                        : defaults.head_dim;
  c.vocab = require_size(config, "vocab_size", where);
  c.max_positions = size_or(config, "max_position_embeddings", defaults.max_positions, where);
  c.eps = read_epsilon(config, "rms_norm_eps", defaults.eps, where);
  c.attention_dropout = read_dropout(config, "attention_dropout", 0, where);
  c.tied = value_or<bool>(config, "tie_word_embeddings", defaults.tied, where);
  const bool biases = value_or<bool>(config, "attention_bias", false, where);
  c.qkv_bias = value_or<bool>(config, "qkv_bias", biases || defaults.qkv_bias, where);
  c.out_bias = value_or<bool>(config, "out_bias", biases, where);
  c.mlp_bias = value_or<bool>(config, "mlp_bias", false, where);
  if (c.heads % c.kv_heads != 0)
    fail(Code::bad_input, where + ": num_key_value_heads", str("a divisor of ", c.heads), str(c.kv_heads));
  if (c.head_dim < 2 || c.head_dim % 2 != 0) fail(Code::bad_input, where + ": head_dim", "an even number", str(c.head_dim));
  c.attention_scale = 1 / std::sqrt(static_cast<double>(c.head_dim));
  c.layer.resize(static_cast<size_t>(c.layers));
  family.differ(config, where, c);
  if (c.rotations.empty()) c.rotations = {read_rope_scaling(config, c.head_dim, where, defaults.rope)};
  read_llama_activation(config, defaults, where, c);
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
  info.dropout = std::max(c.attention_dropout, c.residual_dropout);
  info.parameters = c.layers * block_parameters(c) + c.hidden + c.vocab * c.hidden * (c.tied ? 1 : 2);
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
  weights.embedding = {files.loader.matrix(base + "embed_tokens.weight", {c.vocab, c.hidden}, context.compute),
                       rounded(c.embedding_scale, context.compute)};
  weights.head = {load_decoder_head(files, weights.embedding.table, context.compute, weights.info), c.logit_scale, c.logit_cap};
  weights.input_scale = c.input_scale;
  for (const RopeScaling& rotation : c.rotations) weights.rotations.push_back(rotation.to(context.device));
  weights.attention_dropout = c.attention_dropout;
  weights.residual_dropout = c.residual_dropout;
  if (files.weights != nullptr && files.weights->find("rope_freqs.weight") != nullptr)  // GGUF: Llama 3's scaling as divisors
    weights.rotations.front().frequency /= files.loader("rope_freqs.weight", {c.head_dim / 2}, at::kDouble);
  weights.final_norm = load_norm(c, files, context, base + "norm", c.hidden);
  for (int64_t i = 0; i < c.layers; ++i)
    weights.blocks.push_back(load_block({c, files, context, str(base, "layers.", i, ".")}, c.layer[i]));
  return std::make_unique<Decoder<nn::RmsNorm>>(std::move(weights), files, context);
}

}  // namespace dept
