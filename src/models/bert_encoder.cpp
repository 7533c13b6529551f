#include "models/bert_encoder.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/ceil.h>
#include <ATen/ops/log.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/sign.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>

#include "dept/tensor/upload.h"
#include "models/common.h"
#include "models/t5.h"

namespace dept {
namespace {

using at::Tensor;

struct BlockSaved {
  nn::SelfAttention::Saved attention;
  nn::LayerNorm::Saved attention_norm;
  nn::FeedForward::Saved feed_forward;
  nn::LayerNorm::Saved feed_forward_norm;

  int64_t bytes() const {
    return bytes_of({attention.qkv, attention.lse, feed_forward.kept}) + bytes_of(attention_norm) + bytes_of(feed_forward_norm);
  }
};

struct EncoderSaved : Saved {
  Call call;  // dropout is drawn again in backward
  Ragged tokens;
  Tensor wanted;    // int64 [n] tokens that go on behind the last block's attention; undefined: all
  Ragged going_on;  // these
  nn::AttentionPlan plan;
  Tensor distances;  // rows of the blocks' tables, by distance
  nn::LayerNorm::Saved embedding_norm;
  std::vector<BlockSaved> blocks;
  TokenConvolution::Saved convolution;

  int64_t bytes() const override {
    int64_t total = bytes_of(embedding_norm) + bytes_of({convolution.inner}) + bytes_of(convolution.norm);
    for (const BlockSaved& block : blocks) total += block.bytes();
    return total;
  }
};

class BertEncoder : public Backbone {
 public:
  BertEncoder(EncoderParts parts, const ModelContext& context)
      : Backbone(context), parts_(std::move(parts)), dtype_(context.compute), residual_(context.residual()) {
    parts_.info.storage = storage_name(context);
  }

  const ModelInfo& info() const override { return parts_.info; }
  Tensor embed(const Tensor& ids) const override { return parts_.words.forward(ids); }

  Tensor forward(const Call& call, const Stream& source, const Stream* target, std::unique_ptr<Saved>* saved) const override {
    check_encoder_stream(context(), source, target, parts_.info);
    auto kept = std::make_unique<EncoderSaved>();
    kept->call = call;
    kept->tokens = source.tokens;
    kept->plan = plan(source.tokens);
    if (parts_.distances.farthest > 0) kept->distances = parts_.distances.rows(source.tokens.max_length()).to(context().device);
    kept->blocks.resize(saved ? parts_.blocks.size() : 0);
    if (!source.wanted.empty() && !(parts_.blocks.size() == 1 && parts_.convolution)) {
      kept->wanted = upload(source.wanted, context().device);
      kept->going_on = source.tokens.some_tokens(source.wanted);
    }
    Tensor h = with_positions(source);
    h = parts_.embedding_norm.forward(h, residual_, saved ? &kept->embedding_norm : nullptr);
    h = kernels::apply_dropout(h, dropout(*kept, parts_.embedding_dropout, 0, Site::embedding), context().kernels);
    if (parts_.mapping) h = parts_.mapping->forward(h.to(dtype_)).to(residual_);
    const Tensor first = parts_.convolution ? h : Tensor();
    nn::ResidualStream stream{std::move(h)};
    for (size_t i = 0; i < parts_.blocks.size(); ++i) {
      stream = block_forward(std::move(stream), *kept, i, saved ? &kept->blocks[i] : nullptr);
      if (convolves(i))
        stream = {parts_.convolution->forward(first, stream.h, kept->tokens, convolution_dropout(*kept),
                                              saved ? &kept->convolution : nullptr)};
    }
    const Tensor hidden =
        nn::scatter_rows(stream.x.defined() ? stream.x : stream.h.to(dtype_), kept->wanted, source.tokens.tokens());
    if (saved) *saved = std::move(kept);
    return hidden;
  }

  InputGradients backward(std::unique_ptr<Saved> saved, const Tensor& d_hidden) const override {
    auto& kept = dynamic_cast<EncoderSaved&>(*saved);
    Tensor d = nn::gather_rows(d_hidden, kept.wanted).to(residual_, false, true).contiguous();
    Tensor d_first, d_branch;
    for (size_t i = parts_.blocks.size(); i-- > 0;) {
      if (convolves(i)) {
        d_first = at::zeros_like(d);
        d = parts_.convolution->backward(d, kept.tokens, convolution_dropout(kept), kept.convolution, d_first);
      }
      d_branch = block_backward(d_branch, kept, i, d);
      kept.blocks[i] = {};
    }
    if (d_first.defined()) d = d + d_first;
    if (parts_.mapping) d = parts_.mapping->backward_input(d.to(dtype_)).to(residual_);
    d = kernels::apply_dropout(d, dropout(kept, parts_.embedding_dropout, 0, Site::embedding), context().kernels);
    return {parts_.embedding_norm.backward(d, kept.embedding_norm), {}};
  }

  Tensor pool(const Tensor& hidden) const override {
    return parts_.pooler ? at::tanh(parts_.pooler->forward(hidden.to(dtype_)).to(hidden.scalar_type())) : hidden;
  }
  Tensor pool_backward(const Tensor& d_pooled, const Tensor& hidden) const override {
    if (!parts_.pooler) return d_pooled;
    const Tensor pooled = pool(hidden);
    return parts_.pooler->backward_input((d_pooled * (1 - pooled * pooled)).to(dtype_)).to(d_pooled.scalar_type());
  }

 private:
  bool convolves(size_t block) const { return block == 0 && parts_.convolution; }
  bool is_last(size_t block) const { return block + 1 == parts_.blocks.size(); }

  nn::AttentionPlan plan(const Ragged& tokens) const {
    nn::AttentionPlan made;
    made.spans = kernels::self_attention_spans(tokens);
    made.options.scale = 1 / std::sqrt(static_cast<double>(parts_.scores * parts_.info.hidden / parts_.info.heads));
    if (parts_.bias.defined()) made.options.relative_bias = bias_by_distance(tokens.max_length());
    return made;
  }
  // [H, 2 reach + 1]: the bias at key - query + reach.
  Tensor bias_by_distance(int64_t reach) const {
    std::vector<int64_t> buckets;
    for (int64_t relative = -reach; relative <= reach; ++relative)
      buckets.push_back(t5_bucket(relative, true, parts_.bias.size(1), parts_.bias_distance));
    return parts_.bias.index_select(1, upload_fixed(at::tensor(buckets, at::kLong), parts_.bias.device()));
  }

  Tensor with_positions(const Stream& source) const {
    if (!parts_.positions.defined()) return source.embeds.contiguous();
    return source.embeds +
           parts_.positions.index_select(0, upload_positions(source.tokens, context().device, parts_.first_position));
  }

  kernels::Dropout convolution_dropout(const EncoderSaved& kept) const {
    return dropout(kept, parts_.embedding_dropout, 0, Site::final_output);
  }
  static kernels::Dropout dropout(const EncoderSaved& kept, double p, int64_t layer, Site site) {
    return kernels::Dropout(kept.call, kept.tokens, p, layer, site);
  }
  nn::AttentionPlan plan_of(const EncoderSaved& kept, int64_t layer) const {
    nn::AttentionPlan made = kept.plan;
    if (is_last(layer)) made.wanted = kept.wanted;
    const BertBlock& block = parts_.blocks[layer];
    made.dropout = dropout(kept, block.attention_dropout, layer, Site::self_attention_probabilities);
    if (block.position_keys.defined()) made.position_keys = block.position_keys.index_select(1, kept.distances);
    if (block.position_queries.defined()) made.position_queries = block.position_queries.index_select(1, kept.distances);
    return made;
  }

  // Behind a block's attention.
  kernels::Dropout dropout_behind(const EncoderSaved& kept, double p, size_t i, Site site) const {
    const bool all = !is_last(i) || !kept.wanted.defined();
    return kernels::Dropout(kept.call, all ? kept.tokens : kept.going_on, p, static_cast<int64_t>(i), site);
  }
  kernels::Dropout attention_output(const EncoderSaved& kept, size_t i) const {
    return dropout_behind(kept, parts_.blocks[i].attention_output_dropout, i, Site::self_attention_output);
  }
  kernels::Dropout feed_forward_output(const EncoderSaved& kept, size_t i) const {
    return dropout_behind(kept, parts_.blocks[i].feed_forward_output_dropout, i, Site::feed_forward_output);
  }

  nn::ResidualStream block_forward(nn::ResidualStream stream, const EncoderSaved& kept, size_t i, BlockSaved* saved) const {
    using kernels::NormPlace;
    const BertBlock& block = parts_.blocks[i];
    if (!stream.x.defined()) stream.x = stream.h.to(dtype_);
    const nn::AttentionPlan plan = plan_of(kept, i);
    Tensor read = block.attention.attend(stream.x, plan, saved ? &saved->attention : nullptr);
    stream.h = nn::gather_rows(stream.h, plan.wanted);
    stream = nn::add_and_norm(block.attention.out, std::move(stream), std::move(read), attention_output(kept, i),
                              block.attention_norm, NormPlace::behind, saved ? &saved->attention_norm : nullptr);
    Tensor units = block.feed_forward.units(stream.x, {}, saved ? &saved->feed_forward : nullptr);
    return nn::add_and_norm(block.feed_forward.wo, std::move(stream), std::move(units), feed_forward_output(kept, i),
                            block.feed_forward_norm, NormPlace::behind, saved ? &saved->feed_forward_norm : nullptr);
  }

  // d is the gradient of the block's output and becomes that of its input. d_branch: where the block above was the last to change
  // it, d is before this block's last norm already, and d_branch what goes into the feed-forward's branch. Returns the same for
  // the block below.
  Tensor block_backward(Tensor d_branch, const EncoderSaved& kept, size_t i, Tensor& d) const {
    const BertBlock& block = parts_.blocks[i];
    const BlockSaved& saved = kept.blocks[i];
    const kernels::Dropout fed = feed_forward_output(kept, i), attended = attention_output(kept, i);
    if (!d_branch.defined()) d_branch = nn::norm_backward(last_norm(kept, i, fed), dtype_, d);
    const nn::StreamNorm<nn::LayerNorm> middle{block.attention_norm, kernels::NormPlace::behind, saved.attention_norm, &attended};
    d_branch =
        nn::norm_backward(block.feed_forward.wi, block.feed_forward.backward_units(d_branch, {}, saved.feed_forward), middle, d);
    const nn::AttentionPlan plan = plan_of(kept, i);
    const Tensor d_heads = block.attention.backward_heads(d_branch, plan, saved.attention);
    d = nn::scatter_rows(d, plan.wanted, d_heads.size(0));
    if (i == 0 || (i == 1 && parts_.convolution)) {
      nn::add_backward(block.attention.qkv, d_heads, d);
      return {};
    }
    const kernels::Dropout below = feed_forward_output(kept, i - 1);
    return nn::norm_backward(block.attention.qkv, d_heads, last_norm(kept, i - 1, below), d);
  }
  nn::StreamNorm<nn::LayerNorm> last_norm(const EncoderSaved& kept, size_t i, const kernels::Dropout& before) const {
    return {parts_.blocks[i].feed_forward_norm, kernels::NormPlace::behind, kept.blocks[i].feed_forward_norm, &before};
  }

  EncoderParts parts_;
  at::ScalarType dtype_, residual_;
};

}  // namespace

// In the arithmetic of transformers, in fp32.
Tensor DistanceRows::rows(int64_t reach) const {
  const Tensor distance = at::arange(reach, -reach - 1, -1, at::kLong);  // query - key
  Tensor bucket = distance;
  if (buckets > 0) {
    const auto middle = static_cast<double>(buckets / 2);
    const Tensor far = distance.abs().to(at::kFloat);
    const Tensor widest = at::log(at::scalar_tensor((static_cast<double>(farthest) - 1) / middle, at::kFloat));
    const Tensor logarithmic = at::ceil(at::log(far.clamp_min(middle) / middle) / widest * (middle - 1)) + middle;
    bucket = at::where(far <= middle, distance, (logarithmic * at::sign(distance)).to(at::kLong));
  }
  return (bucket + span()).clamp(0, 2 * span() - 1);
}

BertConfig read_bert_config(const Json& config, const std::string& where) {
  BertConfig c{};
  c.hidden = require_size(config, "hidden_size", where);
  c.intermediate = require_size(config, "intermediate_size", where);
  c.layers = require_size(config, "num_hidden_layers", where);
  c.heads = require_size(config, "num_attention_heads", where);
  c.vocab = require_size(config, "vocab_size", where);
  c.positions = require_size(config, "max_position_embeddings", where);
  const auto model_type = value_or<std::string>(config, "model_type", "", where);
  const bool albert = model_type == "albert", deberta = model_type == "deberta-v2";  // their defaults are others
  const bool typeless = model_type == "mpnet" || (deberta && value_or<int64_t>(config, "type_vocab_size", 0, where) == 0);
  c.types = typeless ? 0 : require_size(config, "type_vocab_size", where);
  c.eps = read_epsilon(config, "layer_norm_eps", deberta ? 1e-7 : 1e-12, where);
  c.hidden_dropout = read_dropout(config, "hidden_dropout_prob", albert ? 0 : 0.1, where);
  c.attention_dropout = read_dropout(config, "attention_probs_dropout_prob", albert ? 0 : 0.1, where);
  c.activation = read_activation(config, "hidden_act", albert ? "gelu_new" : "gelu", where);
  if (const auto type = value_or<std::string>(config, "position_embedding_type", "absolute", where); type != "absolute")
    fail(Code::bad_input, where + ": position_embedding_type", "absolute", quote(type));
  check_encoder_config(c, "num_attention_heads", config, where);
  return c;
}

void check_encoder_config(const BertConfig& c, std::string_view heads_key, const Json& config, const std::string& where) {
  if (c.hidden % c.heads != 0) fail(Code::bad_input, str(where, ": ", heads_key), str("a divisor of ", c.hidden), str(c.heads));
  if (value_or<bool>(config, "is_decoder", false, where)) fail(Code::bad_input, where + ": is_decoder", "false", "true");
}

ModelInfo encoder_info(const BertConfig& c, const Json& config, const std::string& where) {
  ModelInfo info;
  info.model_type = require<std::string>(config, "model_type", where);
  info.architecture = Architecture::encoder;
  info.hidden = c.hidden;
  info.layers = c.layers;
  info.heads = c.heads;
  info.vocab = c.vocab;
  info.dropout = c.hidden_dropout;
  info.head_rules.dropout = read_dropout(config, "classifier_dropout", c.hidden_dropout, where);
  info.head_rules.input_dropout = info.head_rules.dropout;
  info.max_positions = c.positions;
  info.tied = true;
  info.embedding_parameters = c.hidden * (c.vocab + c.positions + c.types);
  info.pad_id = optional_id(config, "pad_token_id", where);
  return info;
}

int64_t block_parameters(const BertConfig& c) {
  return 4 * c.hidden * (c.hidden + 1) + 2 * c.hidden * c.intermediate + c.intermediate + c.hidden + 4 * c.hidden;
}

EncoderLoader::EncoderLoader(const ModelFiles& files, const ModelContext& context, const std::string& prefix,
                             const BertConfig& config)
    : files_(files),
      config_(config),
      prefix_(name_prefix(files, {"", prefix}, "embeddings.word_embeddings.weight")),
      dtype_(context.compute),
      residual_(context.residual()) {}

bool EncoderLoader::has(const std::string& name) const {
  return files_.weights == nullptr || files_.weights->find(prefix_ + name) != nullptr;
}

Tensor EncoderLoader::table(const std::string& name, at::IntArrayRef shape) const {
  return files_.loader(prefix_ + name, shape, residual_);
}

kernels::FrozenMatrix EncoderLoader::words(const std::string& name, int64_t width) const {
  return files_.loader.matrix(prefix_ + name, {config_.vocab, width}, dtype_);
}

nn::LayerNorm EncoderLoader::norm(const std::string& name, int64_t width) const {
  const bool old = !has(name + ".weight") && has(name + ".gamma");
  return {table(name + (old ? ".gamma" : ".weight"), {width}), table(name + (old ? ".beta" : ".bias"), {width}), config_.eps,
          files_.loader.kernels()};
}

kernels::FrozenLinear EncoderLoader::linear(std::vector<nn::LinearSpec::Part> parts, int64_t in) const {
  for (nn::LinearSpec::Part& part : parts) part.name = prefix_ + part.name;
  return files_.loader.linear({std::move(parts), in, true}, dtype_);
}

BertBlock EncoderLoader::block(const BlockNames& names) const {
  const int64_t d = config_.hidden, f = config_.intermediate;
  BertBlock block;
  block.attention = {linear({{names.query, d}, {names.key, d}, {names.value, d}}, d), linear({{names.attention_out, d}}, d),
                     config_.heads, config_.heads, d / config_.heads};
  block.attention_norm = norm(names.attention_norm, d);
  block.feed_forward = {linear({{names.inner, f}}, d), linear({{names.outer, d}}, f), config_.activation};
  block.feed_forward_norm = norm(names.feed_forward_norm, d);
  block.attention_dropout = config_.attention_dropout;
  block.attention_output_dropout = block.feed_forward_output_dropout = config_.hidden_dropout;
  return block;
}

void load_embeddings(const EncoderLoader& loader, int64_t width, EncoderParts& parts, bool absolute) {
  const BertConfig& c = loader.config();
  parts.words.table = loader.words("embeddings.word_embeddings.weight", width);
  if (absolute) parts.positions = loader.table("embeddings.position_embeddings.weight", {c.positions, width});
  if (c.types > 0) {
    const Tensor type = loader.table("embeddings.token_type_embeddings.weight", {c.types, width})[0];
    parts.positions = absolute ? parts.positions + type : type.expand({c.positions, width});
  }
  parts.embedding_norm = loader.norm("embeddings.LayerNorm", width);
  parts.embedding_dropout = c.hidden_dropout;
}

void load_bert_blocks(const EncoderLoader& loader, EncoderParts& parts) {
  for (int64_t i = 0; i < loader.config().layers; ++i) {
    const std::string layer = str("encoder.layer.", i, ".");
    parts.blocks.push_back(
        loader.block({layer + "attention.self.query", layer + "attention.self.key", layer + "attention.self.value",
                      layer + "attention.output.dense", layer + "attention.output.LayerNorm", layer + "intermediate.dense",
                      layer + "output.dense", layer + "output.LayerNorm"}));
  }
}

std::unique_ptr<Backbone> make_encoder(EncoderParts parts, const ModelContext& context) {
  return std::make_unique<BertEncoder>(std::move(parts), context);
}

}  // namespace dept
