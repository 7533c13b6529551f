#include "models/gpt2.h"

#include <algorithm>
#include <cmath>

#include "models/arithmetic.h"
#include "models/decoder.h"
#include "models/head.h"

namespace dept {
namespace {

DecoderBlock<nn::LayerNorm> load_block(const Gpt2Config& c, const ModelFiles& files, const ModelContext& context,
                                       const std::string& name, int64_t layer) {
  const auto norm = [&](std::string_view key) {
    return nn::LayerNorm{files.loader(str(name, key, ".weight"), {c.hidden}, context.residual()),
                         files.loader(str(name, key, ".bias"), {c.hidden}, context.residual()), c.eps, context.kernels};
  };
  const auto linear = [&](std::string_view key, int64_t out, int64_t in) {
    return files.loader.linear({.parts = {{str(name, key), out}}, .in = in, .bias = true, .transposed = true}, context.compute);
  };
  const int64_t head_dim = c.hidden / c.heads;
  DecoderBlock<nn::LayerNorm> block;
  block.around_attention.before = norm("ln_1");
  block.attention = {linear("attn.c_attn", 3 * c.hidden, c.hidden), linear("attn.c_proj", c.hidden, c.hidden), c.heads, c.heads,
                     head_dim};
  block.form.scale = (c.scaled_attention ? 1 / std::sqrt(static_cast<double>(head_dim)) : 1.0) /
                     static_cast<double>(c.scaled_by_layer ? layer + 1 : 1);
  block.around_feed_forward.before = norm("ln_2");
  block.feed_forward = {linear("mlp.c_fc", c.intermediate, c.hidden), linear("mlp.c_proj", c.hidden, c.intermediate),
                        c.activation};
  return block;
}

}  // namespace

Gpt2Config read_gpt2_config(const Json& config, const std::string& where) {
  Gpt2Config c{};
  refuse_two_values(config,
                    {{"n_embd", "hidden_size"},
                     {"n_layer", "num_hidden_layers"},
                     {"n_head", "num_attention_heads"},
                     {"n_positions", "max_position_embeddings"}},
                    where);
  require_neutral(config, {"is_causal", {true}}, where);
  c.hidden = require_size(config, "n_embd", where);
  c.layers = require_size(config, "n_layer", where);
  c.heads = require_size(config, "n_head", where);
  c.vocab = require_size(config, "vocab_size", where);
  c.positions = require_size(config, "n_positions", where);
  const bool given = config.contains("n_inner") && !config["n_inner"].is_null();
  c.intermediate = given ? require_size(config, "n_inner", where) : 4 * c.hidden;
  c.eps = read_epsilon(config, "layer_norm_epsilon", 1e-5, where);
  c.embedding_dropout = read_dropout(config, "embd_pdrop", 0.1, where);
  c.attention_dropout = read_dropout(config, "attn_pdrop", 0.1, where);
  c.residual_dropout = read_dropout(config, "resid_pdrop", 0.1, where);
  c.activation = read_activation(config, "activation_function", "gelu_new", where);
  c.scaled_attention = value_or<bool>(config, "scale_attn_weights", true, where);
  c.scaled_by_layer = value_or<bool>(config, "scale_attn_by_inverse_layer_idx", false, where);
  c.tied = value_or<bool>(config, "tie_word_embeddings", true, where);
  check_heads(c.heads, "n_head", c.hidden, "n_embd", where);
  return c;
}

ModelInfo gpt2_info(const Json& config, const std::string& where) {
  const Gpt2Config c = read_gpt2_config(config, where);
  ModelInfo info;
  info.model_type = "gpt2";
  info.hidden = c.hidden;
  info.layers = c.layers;
  info.heads = c.heads;
  info.vocab = c.vocab;
  info.max_positions = c.positions;
  info.dropout = std::max({c.embedding_dropout, c.attention_dropout, c.residual_dropout});
  info.tied = c.tied;
  const int64_t attention = 4 * c.hidden * (c.hidden + 1), feed_forward = c.intermediate * (2 * c.hidden + 1) + c.hidden;
  info.parameters =
      c.layers * (attention + feed_forward + 4 * c.hidden) + 2 * c.hidden + (c.positions + c.vocab * (c.tied ? 1 : 2)) * c.hidden;
  info.embedding_parameters = (c.positions + c.vocab) * c.hidden;
  info.bos_id = optional_id(config, "bos_token_id", where);
  info.pad_id = optional_id(config, "pad_token_id", where);
  return info;
}

std::unique_ptr<Backbone> make_gpt2(const ModelFiles& files, const ModelContext& context) {
  const Gpt2Config c = read_gpt2_config(files.config, files.where);
  const std::string base = name_prefix(files, {"transformer.", ""}, "wte.weight");
  DecoderWeights<nn::LayerNorm> weights;
  weights.info = gpt2_info(files.config, files.where);
  weights.embedding.table = files.loader.matrix(base + "wte.weight", {c.vocab, c.hidden}, context.compute);
  weights.head.table = load_decoder_head(files, weights.embedding.table, context.compute, weights.info);
  weights.positions = files.loader(base + "wpe.weight", {c.positions, c.hidden}, context.residual());
  weights.final_norm = {files.loader(base + "ln_f.weight", {c.hidden}, context.residual()),
                        files.loader(base + "ln_f.bias", {c.hidden}, context.residual()), c.eps, context.kernels};
  for (int64_t i = 0; i < c.layers; ++i) weights.blocks.push_back(load_block(c, files, context, str(base, "h.", i, "."), i));
  weights.embedding_dropout = c.embedding_dropout;
  weights.attention_dropout = c.attention_dropout;
  weights.residual_dropout = c.residual_dropout;
  return std::make_unique<Decoder<nn::LayerNorm>>(std::move(weights), files, context);
}

}  // namespace dept
