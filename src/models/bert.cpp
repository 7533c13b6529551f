#include "models/bert.h"

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "models/bert_encoder.h"

namespace dept {
namespace {

EncoderParts load_parts(const EncoderLoader& loader, ModelInfo info) {
  EncoderParts parts;
  parts.info = std::move(info);
  load_embeddings(loader, loader.config().hidden, parts);
  load_bert_blocks(loader, parts);
  return parts;
}

int64_t parameters(const BertConfig& c) {
  return c.hidden * (c.vocab + c.positions + c.types + 2) + c.layers * block_parameters(c);
}

// RoBERTa's positions begin behind that of the pad token.
int64_t first_position(const ModelInfo& info) {
  return info.pad_id.value_or(1) + 1;
}

}  // namespace

ModelInfo bert_info(const Json& config, const std::string& where) {
  const BertConfig c = read_bert_config(config, where);
  ModelInfo info = encoder_info(c, config, where);
  info.head = HeadForm::classifier;
  info.parameters = parameters(c) + c.hidden * (c.hidden + 1);
  return info;
}

std::unique_ptr<Backbone> make_bert(const ModelFiles& files, const ModelContext& context) {
  const BertConfig c = read_bert_config(files.config, files.where);
  const EncoderLoader loader(files, context, "bert.", c);
  EncoderParts parts = load_parts(loader, bert_info(files.config, files.where));
  if (loader.has("pooler.dense.weight")) parts.pooler = loader.linear({{"pooler.dense", c.hidden}}, c.hidden);
  return make_encoder(std::move(parts), context);
}

ModelInfo roberta_info(const Json& config, const std::string& where) {
  const BertConfig c = read_bert_config(config, where);
  ModelInfo info = encoder_info(c, config, where);
  info.head = HeadForm::dense;
  info.parameters = parameters(c);
  if (info.pad_id.value_or(1) >= c.positions - 1)
    fail(Code::bad_input, where + ": pad_token_id", str("below ", c.positions - 1, ", as positions begin behind it"),
         str(*info.pad_id));
  info.max_positions -= first_position(info);
  return info;
}

std::unique_ptr<Backbone> make_roberta(const ModelFiles& files, const ModelContext& context) {
  const BertConfig c = read_bert_config(files.config, files.where);
  EncoderParts parts = load_parts(EncoderLoader(files, context, "roberta.", c), roberta_info(files.config, files.where));
  parts.first_position = first_position(parts.info);
  return make_encoder(std::move(parts), context);
}

}  // namespace dept
