#include "models/gpt_neox.h"

#include <algorithm>
#include <cmath>

#include "models/arithmetic.h"
#include "models/decoder.h"
#include "models/head.h"

namespace dept {
namespace {

nn::LayerNorm load_norm(const GptNeoxConfig& c, const ModelFiles& files, const ModelContext& context, const std::string& name) {
  return {files.loader(name + ".weight", {c.hidden}, context.residual()),
          files.loader(name + ".bias", {c.hidden}, context.residual()), c.eps, context.kernels};
}

DecoderBlock<nn::LayerNorm> load_block(const GptNeoxConfig& c, const ModelFiles& files, const ModelContext& context,
                                       const std::string& name) {
  const auto linear = [&](std::string_view key, int64_t out, int64_t in, bool bias, int64_t heads = 0) {
    return files.loader.linear({.parts = {{str(name, key), out}}, .in = in, .bias = bias, .heads_of_three = heads},
                               context.compute);
  };
  const int64_t head_dim = c.hidden / c.heads;
  DecoderBlock<nn::LayerNorm> block;
  block.around_attention.before = load_norm(c, files, context, name + "input_layernorm");
  block.attention = {linear("attention.query_key_value", 3 * c.hidden, c.hidden, c.attention_bias, c.qkv_sorted ? 0 : c.heads),
                     linear("attention.dense", c.hidden, c.hidden, c.attention_bias), c.heads, c.heads, head_dim};
  block.form = {.scale = 1 / std::sqrt(static_cast<double>(head_dim)), .rotation = 0};
  block.around_feed_forward.before = load_norm(c, files, context, name + "post_attention_layernorm");
  block.feed_forward = {linear("mlp.dense_h_to_4h", c.intermediate, c.hidden, true),
                        linear("mlp.dense_4h_to_h", c.hidden, c.intermediate, true), c.activation};
  block.parallel = c.parallel;
  return block;
}

}  // namespace

GptNeoxConfig read_gpt_neox_config(const Json& config, const std::string& where) {
  GptNeoxConfig c{};
  require_neutral(config, {"is_causal", {true}}, where);
  c.hidden = require_size(config, "hidden_size", where);
  c.intermediate = require_size(config, "intermediate_size", where);
  c.layers = require_size(config, "num_hidden_layers", where);
  c.heads = require_size(config, "num_attention_heads", where);
  c.vocab = require_size(config, "vocab_size", where);
  c.positions = size_or(config, "max_position_embeddings", 2048, where);
  c.eps = read_epsilon(config, "layer_norm_eps", 1e-5, where);
  c.attention_dropout = read_dropout(config, "attention_dropout", 0, where);
  c.hidden_dropout = read_dropout(config, "hidden_dropout", 0, where);
  c.activation = read_activation(config, "hidden_act", "gelu", where);
  c.parallel = value_or<bool>(config, "use_parallel_residual", true, where);
  c.attention_bias = value_or<bool>(config, "attention_bias", true, where);
  c.tied = value_or<bool>(config, "tie_word_embeddings", false, where);
  c.qkv_sorted = value_or<bool>(config, "qkv_sorted", false, where);
  check_heads(c.heads, "num_attention_heads", c.hidden, "hidden_size", where);
  c.rope =
      read_rope_scaling(config, c.hidden / c.heads, where,
                        {.partial = true, .partial_factor = 0.25, .theta_key = "rotary_emb_base", .partial_key = "rotary_pct"});
  return c;
}

ModelInfo gpt_neox_info(const Json& config, const std::string& where) {
  const GptNeoxConfig c = read_gpt_neox_config(config, where);
  ModelInfo info;
  info.model_type = "gpt_neox";
  info.hidden = c.hidden;
  info.layers = c.layers;
  info.heads = c.heads;
  info.vocab = c.vocab;
  info.max_positions = c.positions;
  info.dropout = std::max(c.attention_dropout, c.hidden_dropout);
  info.tied = c.tied;
  const int64_t attention = 4 * c.hidden * (c.hidden + (c.attention_bias ? 1 : 0)),
                feed_forward = c.intermediate * (2 * c.hidden + 1) + c.hidden;
  info.parameters = c.layers * (attention + feed_forward + 4 * c.hidden) + 2 * c.hidden + c.vocab * c.hidden * (c.tied ? 1 : 2);
  info.embedding_parameters = c.vocab * c.hidden;
  info.bos_id = optional_id(config, "bos_token_id", where);
  info.pad_id = optional_id(config, "pad_token_id", where);
  return info;
}

std::unique_ptr<Backbone> make_gpt_neox(const ModelFiles& files, const ModelContext& context) {
  const GptNeoxConfig c = read_gpt_neox_config(files.config, files.where);
  const std::string base = name_prefix(files, {"gpt_neox.", ""}, "embed_in.weight");
  DecoderWeights<nn::LayerNorm> weights;
  weights.info = gpt_neox_info(files.config, files.where);
  weights.embedding.table = files.loader.matrix(base + "embed_in.weight", {c.vocab, c.hidden}, context.compute);
  weights.head.table = load_decoder_head(files, weights.embedding.table, context.compute, weights.info);
  weights.rotations = {c.rope.to(context.device)};
  weights.final_norm = load_norm(c, files, context, base + "final_layer_norm");
  for (int64_t i = 0; i < c.layers; ++i) weights.blocks.push_back(load_block(c, files, context, str(base, "layers.", i, ".")));
  weights.embedding_dropout = c.hidden_dropout;
  weights.attention_dropout = c.attention_dropout;
  weights.residual_dropout = c.hidden_dropout;
  return std::make_unique<Decoder<nn::LayerNorm>>(std::move(weights), files, context);
}

}  // namespace dept
