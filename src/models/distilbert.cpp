#include "models/distilbert.h"

#include "models/arithmetic.h"
#include "models/common.h"

namespace dept {

BertConfig read_distilbert_config(const Json& config, const std::string& where) {
  refuse_two_values(config, {{"dim", "hidden_size"}, {"n_layers", "num_hidden_layers"}, {"n_heads", "num_attention_heads"}},
                    where);
  BertConfig c{};
  c.hidden = require_size(config, "dim", where);
  c.intermediate = require_size(config, "hidden_dim", where);
  c.layers = require_size(config, "n_layers", where);
  c.heads = require_size(config, "n_heads", where);
  c.vocab = require_size(config, "vocab_size", where);
  c.positions = require_size(config, "max_position_embeddings", where);
  c.eps = 1e-12;
  c.hidden_dropout = read_dropout(config, "dropout", 0.1, where);
  c.attention_dropout = read_dropout(config, "attention_dropout", 0.1, where);
  c.activation = read_activation(config, "activation", "gelu", where);
  check_encoder_config(c, "n_heads", config, where);
  return c;
}

ModelInfo distilbert_info(const Json& config, const std::string& where) {
  const BertConfig c = read_distilbert_config(config, where);
  ModelInfo info = encoder_info(c, config, where);
  info.head = HeadForm::pre_classifier;
  info.head_rules = {.dropout = read_dropout(config, "seq_classif_dropout", 0.2, where), .unit = kernels::Activation::relu};
  info.parameters = c.hidden * (c.vocab + c.positions + 2) + c.layers * block_parameters(c);
  return info;
}

std::unique_ptr<Backbone> make_distilbert(const ModelFiles& files, const ModelContext& context) {
  const BertConfig c = read_distilbert_config(files.config, files.where);
  const EncoderLoader loader(files, context, "distilbert.", c);
  EncoderParts parts;
  parts.info = distilbert_info(files.config, files.where);
  load_embeddings(loader, c.hidden, parts);
  for (int64_t i = 0; i < c.layers; ++i) {
    const std::string layer = str("transformer.layer.", i, ".");
    parts.blocks.push_back(loader.block({layer + "attention.q_lin", layer + "attention.k_lin", layer + "attention.v_lin",
                                         layer + "attention.out_lin", layer + "sa_layer_norm", layer + "ffn.lin1",
                                         layer + "ffn.lin2", layer + "output_layer_norm"}));
    parts.blocks.back().attention_output_dropout = 0;
  }
  return make_encoder(std::move(parts), context);
}

}  // namespace dept
