#include "models/electra.h"

#include "models/bert_encoder.h"
#include "models/common.h"

namespace dept {

ModelInfo electra_info(const Json& config, const std::string& where) {
  const BertConfig c = read_bert_config(config, where);
  ModelInfo info = encoder_info(c, config, where);
  info.embedding = size_or(config, "embedding_size", 128, where);
  info.head = HeadForm::dense;
  info.head_rules.unit = kernels::Activation::gelu;
  const int64_t tables = c.vocab + c.positions + c.types, mapping = info.embedding == c.hidden ? 0 : info.embedding + 1;
  info.parameters = info.embedding * (tables + 2) + c.hidden * mapping + c.layers * block_parameters(c);
  info.embedding_parameters = info.embedding * tables;
  return info;
}

std::unique_ptr<Backbone> make_electra(const ModelFiles& files, const ModelContext& context) {
  const BertConfig c = read_bert_config(files.config, files.where);
  const EncoderLoader loader(files, context, "electra.", c);
  EncoderParts parts;
  parts.info = electra_info(files.config, files.where);
  load_embeddings(loader, parts.info.embedding, parts);
  if (parts.info.embedding != c.hidden) parts.mapping = loader.linear({{"embeddings_project", c.hidden}}, parts.info.embedding);
  load_bert_blocks(loader, parts);
  return make_encoder(std::move(parts), context);
}

}  // namespace dept
