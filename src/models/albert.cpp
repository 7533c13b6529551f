#include "models/albert.h"

#include <ATen/TensorOperators.h>

#include "models/bert_encoder.h"
#include "models/common.h"

namespace dept {
namespace {

struct AlbertConfig {
  BertConfig bert;
  int64_t embedding, groups, inner;  // widths of words, groups of layers, layers in a group
};

AlbertConfig read_albert_config(const Json& config, const std::string& where) {
  AlbertConfig c{read_bert_config(config, where), require_size(config, "embedding_size", where),
                 require_size(config, "num_hidden_groups", where), require_size(config, "inner_group_num", where)};
  if (c.groups > c.bert.layers)
    fail(Code::bad_input, where + ": num_hidden_groups", str("at most ", c.bert.layers), str(c.groups));
  return c;
}

}  // namespace

ModelInfo albert_info(const Json& config, const std::string& where) {
  const auto [c, embedding, groups, inner] = read_albert_config(config, where);
  ModelInfo info = encoder_info(c, config, where);
  info.embedding = embedding;
  info.head = HeadForm::classifier;
  info.head_rules.dropout = read_dropout(config, "classifier_dropout_prob", 0.1, where);
  info.parameters = embedding * (c.vocab + c.positions + c.types + 2) + c.hidden * (embedding + 1) +
                    groups * inner * block_parameters(c) + c.hidden * (c.hidden + 1);
  info.embedding_parameters = embedding * (c.vocab + c.positions + c.types);
  return info;
}

std::unique_ptr<Backbone> make_albert(const ModelFiles& files, const ModelContext& context) {
  const auto [c, embedding, groups, inner] = read_albert_config(files.config, files.where);
  const EncoderLoader loader(files, context, "albert.", c);
  EncoderParts parts;
  parts.info = albert_info(files.config, files.where);
  load_embeddings(loader, embedding, parts);
  parts.mapping = loader.linear({{"encoder.embedding_hidden_mapping_in", c.hidden}}, embedding);
  std::vector<BertBlock> own;  // group by group
  for (int64_t i = 0; i < groups * inner; ++i) {
    const std::string layer = str("encoder.albert_layer_groups.", i / inner, ".albert_layers.", i % inner, ".");
    own.push_back(
        loader.block({layer + "attention.query", layer + "attention.key", layer + "attention.value", layer + "attention.dense",
                      layer + "attention.LayerNorm", layer + "ffn", layer + "ffn_output", layer + "full_layer_layer_norm"}));
    own.back().feed_forward_output_dropout = 0;
  }
  for (int64_t i = 0; i < c.layers; ++i)
    for (int64_t j = 0; j < inner; ++j) parts.blocks.push_back(own[i * groups / c.layers * inner + j]);
  if (loader.has("pooler.weight")) parts.pooler = loader.linear({{"pooler", c.hidden}}, c.hidden);
  return make_encoder(std::move(parts), context);
}

}  // namespace dept
