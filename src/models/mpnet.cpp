#include "models/mpnet.h"

#include "models/arithmetic.h"
#include "models/bert_encoder.h"
#include "models/common.h"

namespace dept {
namespace {

// transformers computes buckets for these numbers, whatever the configuration says.
constexpr int64_t buckets = 32, last_distance = 128;
constexpr int64_t first_mpnet_position = 2;

BertConfig read_mpnet_config(const Json& config, const std::string& where) {
  require_neutral(config, {"relative_attention_num_buckets", {buckets}}, where);
  const BertConfig c = read_bert_config(config, where);
  if (c.positions <= first_mpnet_position)
    fail(Code::bad_input, where + ": max_position_embeddings", str("above ", first_mpnet_position), str(c.positions));
  return c;
}

}  // namespace

ModelInfo mpnet_info(const Json& config, const std::string& where) {
  const BertConfig c = read_mpnet_config(config, where);
  ModelInfo info = encoder_info(c, config, where);
  info.head = HeadForm::dense;
  info.head_rules = {.dropout = c.hidden_dropout, .input_dropout = c.hidden_dropout, .unit = {}};
  info.parameters = c.hidden * (c.vocab + c.positions + 2) + c.layers * block_parameters(c) + buckets * c.heads;
  info.embedding_parameters += buckets * c.heads;
  info.max_positions -= first_mpnet_position;
  return info;
}

std::unique_ptr<Backbone> make_mpnet(const ModelFiles& files, const ModelContext& context) {
  const BertConfig c = read_mpnet_config(files.config, files.where);
  const EncoderLoader loader(files, context, "mpnet.", c);
  EncoderParts parts;
  parts.info = mpnet_info(files.config, files.where);
  load_embeddings(loader, c.hidden, parts);
  parts.first_position = first_mpnet_position;
  parts.bias = loader.table("encoder.relative_attention_bias.weight", {buckets, c.heads}).t().contiguous();
  parts.bias_distance = last_distance;
  for (int64_t i = 0; i < c.layers; ++i) {
    const std::string layer = str("encoder.layer.", i, ".");
    parts.blocks.push_back(loader.block({layer + "attention.attn.q", layer + "attention.attn.k", layer + "attention.attn.v",
                                         layer + "attention.attn.o", layer + "attention.LayerNorm", layer + "intermediate.dense",
                                         layer + "output.dense", layer + "output.LayerNorm"}));
  }
  return make_encoder(std::move(parts), context);
}

}  // namespace dept
