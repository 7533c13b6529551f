#include "models/deberta.h"

#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "models/arithmetic.h"
#include "models/common.h"

namespace dept {
namespace {

struct DebertaConfig {
  BertConfig bert;
  DistanceRows distances;
  bool position_keys, position_queries;  // content to position, position to content
  bool shared;                           // content's projections serve positions too
  bool normed;                           // the table of distances
  bool absolute;                         // learned positions are added to the words
  int64_t convolution;                   // width, 0: none
  kernels::Activation convolution_activation;
};

// Words between bars, as the published files have lists: "p2c|c2p".
std::vector<std::string> words_of(const Json& config, const char* key, const std::string& where) {
  const auto found = config.find(key);
  if (found == config.end() || found->is_null()) return {};
  if (!found->is_string()) return require<std::vector<std::string>>(config, key, where);
  std::vector<std::string> words;
  std::stringstream text(found->get<std::string>());
  for (std::string word; std::getline(text, word, '|');) words.push_back(word);
  return words;
}

bool has_word(const Json& config, const char* key, std::initializer_list<std::string_view> known, std::string_view word,
              const std::string& where) {
  bool has = false;
  for (const std::string& given : words_of(config, key, where)) {
    if (std::find(known.begin(), known.end(), given) == known.end())
      fail(Code::bad_input, str(where, ": ", key), str(*known.begin(), " or ", *(known.end() - 1)), quote(given));
    has |= given == word;
  }
  return has;
}

DistanceRows read_distances(const Json& config, const BertConfig& c, const std::string& where) {
  const auto farthest = value_or<int64_t>(config, "max_relative_positions", -1, where);
  const auto buckets = value_or<int64_t>(config, "position_buckets", -1, where);
  DistanceRows distances;
  distances.farthest = farthest < 1 ? c.positions : farthest;
  distances.buckets = std::max<int64_t>(buckets, 0);
  constexpr int64_t most = 1 << 20;
  if (distances.farthest > most) fail(Code::bad_input, where + ": max_relative_positions", str("at most ", most), str(farthest));
  if (distances.buckets > 0 && (buckets < 4 || buckets > most || distances.farthest - 1 <= buckets / 2))
    fail(Code::bad_input, where + ": position_buckets", "at least 4, half of it below max_relative_positions - 1",
         str(buckets, " and ", distances.farthest));
  return distances;
}

DebertaConfig read_deberta_config(const Json& config, const std::string& where) {
  DebertaConfig c{};
  c.bert = read_deberta_bert(config, where);
  c.absolute = value_or<bool>(config, "position_biased_input", true, where);
  c.shared = value_or<bool>(config, "share_att_key", false, where);
  c.position_keys = has_word(config, "pos_att_type", {"p2c", "c2p"}, "c2p", where);
  c.position_queries = has_word(config, "pos_att_type", {"p2c", "c2p"}, "p2c", where);
  c.normed = has_word(config, "norm_rel_ebd", {"none", "layer_norm"}, "layer_norm", where);
  if (!value_or<bool>(config, "relative_attention", false, where) || (!c.position_keys && !c.position_queries))
    fail(Code::bad_input, where + ": relative_attention", "true, with p2c or c2p in pos_att_type", "none");
  c.distances = read_distances(config, c.bert, where);
  c.convolution = value_or<int64_t>(config, "conv_kernel_size", 0, where);
  if (c.convolution < 0 || c.convolution > 99 || (c.convolution > 0 && c.convolution % 2 == 0))
    fail(Code::bad_input, where + ": conv_kernel_size", "0, or an odd number up to 99", str(c.convolution));
  if (c.convolution > 0) {
    c.convolution_activation = read_activation(config, "conv_act", "tanh", where);
    require_neutral(config, {"conv_groups", {1}}, where);
  }
  return c;
}

// [rows of the table, H K] of one projection -> [H, rows, K]
at::Tensor by_head(const at::Tensor& x, int64_t heads) {
  return x.unflatten(1, {heads, x.size(1) / heads}).transpose(0, 1).contiguous();
}

// What stands for each row of the table of distances in one block; `table` in the compute type.
void load_positions(const EncoderLoader& loader, const DebertaConfig& c, const std::string& attention, const at::Tensor& table,
                    BertBlock& block) {
  const int64_t d = c.bert.hidden, heads = c.bert.heads;
  const auto projected = [&](const char* name, int64_t shared_part) {
    return by_head(c.shared ? block.attention.qkv.forward(table).narrow(1, shared_part * d, d)
                            : loader.linear({{attention + name, d}}, d).forward(table),
                   heads);
  };
  if (c.position_keys) block.position_keys = projected("pos_key_proj", 1);
  if (c.position_queries) block.position_queries = projected("pos_query_proj", 0);
}

at::Tensor load_distances(const EncoderLoader& loader, const DebertaConfig& c, const ModelContext& context) {
  at::Tensor table = loader.table("encoder.rel_embeddings.weight", {2 * c.distances.span(), c.bert.hidden});
  if (c.normed) table = loader.norm("encoder.LayerNorm", c.bert.hidden).forward(table, context.residual(), nullptr);
  return table.to(context.compute);
}

TokenConvolution load_convolution(const EncoderLoader& loader, const DebertaConfig& c, const ModelContext& context) {
  const int64_t d = c.bert.hidden;
  const at::Tensor weight = loader.table("encoder.conv.conv.weight", {d, d, c.convolution}).permute({0, 2, 1}).flatten(1);
  return {kernels::FrozenLinear(kernels::FrozenMatrix(weight.to(context.compute).contiguous(), context.kernels),
                                loader.table("encoder.conv.conv.bias", {d}).to(context.compute)),
          loader.norm("encoder.conv.LayerNorm", d), c.convolution, c.convolution_activation};
}

int64_t parameters(const DebertaConfig& c) {
  const int64_t d = c.bert.hidden, positions = c.shared ? 0 : int64_t{c.position_keys} + int64_t{c.position_queries};
  return d * (c.bert.vocab + (c.absolute ? c.bert.positions : 0) + c.bert.types + 2) +
         c.bert.layers * (block_parameters(c.bert) + positions * d * (d + 1)) + 2 * c.distances.span() * d +
         (c.normed ? 2 * d : 0) + (c.convolution > 0 ? c.convolution * d * d + 3 * d : 0);
}

}  // namespace

BertConfig read_deberta_bert(const Json& config, const std::string& where) {
  BertConfig c = read_bert_config(config, where);
  require_neutral(config, {"attention_head_size", {c.hidden / c.heads}}, where);
  require_neutral(config, {"embedding_size", {c.hidden}}, where);
  require_neutral(config, {"pooler_hidden_size", {c.hidden}}, where);
  return c;
}

ModelInfo deberta_info(const Json& config, const std::string& where) {
  const DebertaConfig c = read_deberta_config(config, where);
  ModelInfo info = encoder_info(c.bert, config, where);
  info.head = HeadForm::pooler;
  const double dropout = read_dropout(config, "cls_dropout", c.bert.hidden_dropout, where);
  info.head_rules = {.dropout = dropout,
                     .input_dropout = read_dropout(config, "pooler_dropout", 0, where),
                     .unit = read_activation(config, "pooler_hidden_act", "gelu", where)};
  info.parameters = parameters(c);
  info.embedding_parameters = c.bert.hidden * (c.bert.vocab + (c.absolute ? c.bert.positions : 0) + c.bert.types) +
                              2 * c.distances.span() * c.bert.hidden;
  if (!c.absolute && c.bert.types == 0) info.max_positions = 0;
  return info;
}

std::unique_ptr<Backbone> make_deberta(const ModelFiles& files, const ModelContext& context) {
  const DebertaConfig c = read_deberta_config(files.config, files.where);
  const EncoderLoader loader(files, context, "deberta.", c.bert);
  EncoderParts parts;
  parts.info = deberta_info(files.config, files.where);
  load_embeddings(loader, c.bert.hidden, parts, c.absolute);
  parts.distances = c.distances;
  parts.scores = 1 + int64_t{c.position_keys} + int64_t{c.position_queries};
  const at::Tensor table = load_distances(loader, c, context);
  for (int64_t i = 0; i < c.bert.layers; ++i) {
    const std::string layer = str("encoder.layer.", i, "."), attention = layer + "attention.self.";
    BertBlock block = loader.block({attention + "query_proj", attention + "key_proj", attention + "value_proj",
                                    layer + "attention.output.dense", layer + "attention.output.LayerNorm",
                                    layer + "intermediate.dense", layer + "output.dense", layer + "output.LayerNorm"});
    load_positions(loader, c, attention, table, block);
    parts.blocks.push_back(std::move(block));
  }
  if (c.convolution > 0) parts.convolution = load_convolution(loader, c, context);
  return make_encoder(std::move(parts), context);
}

}  // namespace dept
