#include "models/modernbert.h"

#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>

#include "models/decoder_block.h"
#include "models/llama.h"

namespace dept {
namespace {

using at::Tensor;
using Block = DecoderBlock<nn::LayerNorm>;

/// norm(activation(W x)), between a text's hidden state and a head: of the model's own training.
struct Pooler {
  kernels::FrozenLinear dense;
  kernels::Activation activation;
  nn::LayerNorm norm;
};

struct ModernBertParts {
  nn::Embedding words;
  nn::LayerNorm embedding_norm, final_norm;
  std::vector<Block> blocks;
  std::optional<Pooler> pooler;
};

struct ModernBertSaved : Saved {
  DecoderPlans plans;
  nn::LayerNorm::Saved embedding_norm, final_norm;
  std::vector<Block::Saved> blocks;

  int64_t bytes() const override {
    int64_t total = bytes_of(embedding_norm) + bytes_of(final_norm);
    for (const Block::Saved& block : blocks) total += block.bytes();
    return total;
  }
};

class ModernBert : public Backbone {
 public:
  ModernBert(ModernBertConfig config, ModelInfo info, ModernBertParts parts, const ModelContext& context)
      : Backbone(context), config_(std::move(config)), info_(std::move(info)), parts_(std::move(parts)) {
    info_.storage = storage_name(context);
  }

  const ModelInfo& info() const override { return info_; }
  Tensor embed(const Tensor& ids) const override { return parts_.words.forward(ids); }

  Tensor forward(const Call& call, const Stream& source, const Stream* target, std::unique_ptr<Saved>* saved) const override {
    check_encoder_stream(context(), source, target, info_);
    auto kept = std::make_unique<ModernBertSaved>();
    kept->plans = {plan(call, source.tokens), source.wanted, parts_.blocks.size()};
    kept->blocks.resize(saved ? parts_.blocks.size() : 0);
    Tensor h =
        parts_.embedding_norm.forward(source.embeds.contiguous(), context().residual(), saved ? &kept->embedding_norm : nullptr);
    h = kernels::apply_dropout(h, embedding_dropout(kept->plans.all()), context().kernels);
    nn::ResidualStream stream{std::move(h)};
    for (size_t i = 0; i < parts_.blocks.size(); ++i)
      stream = parts_.blocks[i].forward(std::move(stream), kept->plans.of(i), static_cast<int64_t>(i),
                                        saved ? &kept->blocks[i] : nullptr, norm_behind(i, saved ? kept.get() : nullptr));
    const Tensor hidden = nn::scatter_rows(stream.x, kept->plans.wanted(), source.tokens.tokens());
    if (saved) *saved = std::move(kept);
    return hidden;
  }

  InputGradients backward(std::unique_ptr<Saved> saved, const Tensor& d_hidden) const override {
    auto& kept = dynamic_cast<ModernBertSaved&>(*saved);
    const Tensor d_wanted = nn::gather_rows(d_hidden, kept.plans.wanted());
    Tensor d = parts_.final_norm.backward(d_wanted.to(context().compute).contiguous(), kept.final_norm);
    Tensor branch;
    for (size_t i = parts_.blocks.size(); i-- > 0;) {
      branch = parts_.blocks[i].backward(d, kept.plans.of(i), static_cast<int64_t>(i), kept.blocks[i], branch,
                                         i > 0 ? &parts_.blocks[i - 1] : nullptr);
      kept.blocks[i] = {};
    }
    d = kernels::apply_dropout(d, embedding_dropout(kept.plans.all()), context().kernels);
    return {parts_.embedding_norm.backward(d, kept.embedding_norm), {}};
  }

  Tensor pool(const Tensor& hidden) const override {
    if (!parts_.pooler) return hidden;
    const Pooler& pooler = *parts_.pooler;
    const Tensor units = kernels::activation(pooler.activation, pooler.dense.forward(compute(hidden)), {}, context().kernels);
    return pooler.norm.forward(units.to(context().residual()), context().residual(), nullptr).to(hidden.scalar_type());
  }
  Tensor pool_backward(const Tensor& d_pooled, const Tensor& hidden) const override {
    if (!parts_.pooler) return d_pooled;
    const Pooler& pooler = *parts_.pooler;
    const Tensor inner = pooler.dense.forward(compute(hidden));
    const Tensor units = kernels::activation(pooler.activation, inner, {}, context().kernels).to(context().residual());
    nn::LayerNorm::Saved saved;
    pooler.norm.forward(units, context().residual(), &saved);
    const Tensor d = pooler.norm.backward(d_pooled.to(context().residual()).contiguous(), saved);
    const Tensor d_inner = kernels::activation_backward(pooler.activation, compute(d), inner, {}, context().kernels);
    return pooler.dense.backward_input(d_inner).to(d_pooled.scalar_type());
  }

 private:
  Tensor compute(const Tensor& x) const { return x.to(context().compute).contiguous(); }

  DecoderPlan plan(const Call& call, const Ragged& tokens) const {
    DecoderPlan made;
    made.attention.spans = kernels::self_attention_spans(tokens);
    for (const RopeScaling* rotation : {&config_.rotation, &config_.local_rotation})
      made.rotations.push_back(rotation->angles(tokens, context().residual()));
    made.context = context();
    made.call = call;
    made.tokens = tokens;
    made.attention_dropout = made.attention_output_dropout = config_.attention_dropout;
    made.inner_dropout = config_.inner_dropout;
    made.embedding_dropout = config_.embedding_dropout;
    return made;
  }
  nn::NextNorm<nn::LayerNorm> norm_behind(size_t i, ModernBertSaved* kept) const {
    if (i + 1 < parts_.blocks.size()) return parts_.blocks[i + 1].first_norm(kept != nullptr ? &kept->blocks[i + 1] : nullptr);
    return {&parts_.final_norm, kept != nullptr ? &kept->final_norm : nullptr};
  }
  static kernels::Dropout embedding_dropout(const DecoderPlan& plan) {
    return plan.dropout(plan.embedding_dropout, 0, Site::embedding);
  }

  ModernBertConfig config_;
  ModelInfo info_;
  ModernBertParts parts_;
};

class Loader {
 public:
  Loader(const ModelFiles& files, const ModelContext& context, const ModernBertConfig& config)
      : files_(files),
        context_(context),
        c_(config),
        base_(name_prefix(files, {"model.", ""}, "embeddings.tok_embeddings.weight")) {}

  ModernBertParts parts() const {
    ModernBertParts parts;
    parts.words.table = files_.loader.matrix(base_ + "embeddings.tok_embeddings.weight", {c_.vocab, c_.hidden}, context_.compute);
    parts.embedding_norm = norm(base_ + "embeddings.norm");
    for (int64_t i = 0; i < c_.layers; ++i) parts.blocks.push_back(block(i));
    parts.final_norm = norm(base_ + "final_norm");
    if (files_.weights == nullptr || files_.weights->find("head.dense.weight") != nullptr)
      parts.pooler = {linear("head.dense", c_.hidden, c_.hidden, c_.pooler_bias), c_.pooler_activation, norm("head.norm")};
    return parts;
  }

 private:
  nn::LayerNorm norm(const std::string& name) const {
    const Tensor weight = files_.loader(name + ".weight", {c_.hidden}, context_.residual());
    return {weight, c_.norm_bias ? files_.loader(name + ".bias", {c_.hidden}, context_.residual()) : at::zeros_like(weight),
            c_.eps, context_.kernels};
  }
  kernels::FrozenLinear linear(const std::string& name, int64_t out, int64_t in, bool bias) const {
    return files_.loader.linear({.parts = {{name, out}}, .in = in, .bias = bias}, context_.compute);
  }
  // The embedding's norm stands in the place of the first block's.
  Block block(int64_t i) const {
    const std::string name = str(base_, "layers.", i, ".");
    const int64_t d = c_.hidden, f = c_.intermediate, head_dim = d / c_.heads;
    Block block;
    if (i > 0) block.around_attention.before = norm(name + "attn_norm");
    block.attention = {linear(name + "attn.Wqkv", 3 * d, d, c_.attention_bias), linear(name + "attn.Wo", d, d, c_.attention_bias),
                       c_.heads, c_.heads, head_dim};
    block.form = {.scale = 1 / std::sqrt(static_cast<double>(head_dim)),
                  .window = c_.slides[i] ? c_.reach + 1 : 0,
                  .rotation = c_.slides[i] ? 1 : 0};
    block.around_feed_forward.before = norm(name + "mlp_norm");
    block.feed_forward = {linear(name + "mlp.Wi", 2 * f, d, c_.feed_forward_bias),
                          linear(name + "mlp.Wo", d, f, c_.feed_forward_bias), c_.activation, true};
    return block;
  }

  const ModelFiles& files_;
  const ModelContext& context_;
  const ModernBertConfig& c_;
  std::string base_;
};

// layer_types, or else every n-th layer from the first on sees all.
std::vector<bool> read_slides(const Json& config, int64_t layers, const std::string& where) {
  std::vector<bool> slides = read_sliding_layers(config, layers, where);
  const auto period = value_or<int64_t>(config, "global_attn_every_n_layers", 3, where);
  if (period < 1) fail(Code::bad_input, where + ": global_attn_every_n_layers", "at least 1", str(period));
  for (auto i = static_cast<int64_t>(slides.size()); i < layers; ++i) slides.push_back(i % period != 0);
  return slides;
}

}  // namespace

ModernBertConfig read_modernbert_config(const Json& config, const std::string& where) {
  ModernBertConfig c{};
  c.hidden = require_size(config, "hidden_size", where);
  c.intermediate = require_size(config, "intermediate_size", where);
  c.layers = require_size(config, "num_hidden_layers", where);
  c.heads = require_size(config, "num_attention_heads", where);
  c.vocab = require_size(config, "vocab_size", where);
  c.positions = size_or(config, "max_position_embeddings", 8192, where);
  c.reach = size_or(config, "local_attention", 128, where) / 2;
  c.eps = read_epsilon(config, "norm_eps", 1e-5, where);
  c.embedding_dropout = read_dropout(config, "embedding_dropout", 0, where);
  c.attention_dropout = read_dropout(config, "attention_dropout", 0, where);
  c.inner_dropout = read_dropout(config, "mlp_dropout", 0, where);
  c.activation = read_activation(config, "hidden_activation", "gelu", where);
  c.pooler_activation = read_activation(config, "classifier_activation", "gelu", where);
  c.norm_bias = value_or<bool>(config, "norm_bias", false, where);
  c.attention_bias = value_or<bool>(config, "attention_bias", false, where);
  c.feed_forward_bias = value_or<bool>(config, "mlp_bias", false, where);
  c.pooler_bias = value_or<bool>(config, "classifier_bias", false, where);
  check_heads(c.heads, "num_attention_heads", c.hidden, "hidden_size", where);
  c.slides = read_slides(config, c.layers, where);
  const auto rotation = [&](const char* layer_type, double theta, const char* theta_key) {
    return read_rope_scaling(with_rotation_of(config, layer_type, where), c.hidden / c.heads, where,
                             {.theta = theta, .theta_key = theta_key});
  };
  c.rotation = rotation("full_attention", 160000, "global_rope_theta");
  c.local_rotation = rotation("sliding_attention", 10000, "local_rope_theta");
  return c;
}

ModelInfo modernbert_info(const Json& config, const std::string& where) {
  const ModernBertConfig c = read_modernbert_config(config, where);
  ModelInfo info;
  info.model_type = require<std::string>(config, "model_type", where);
  info.architecture = Architecture::encoder;
  info.hidden = c.hidden;
  info.layers = c.layers;
  info.heads = c.heads;
  info.vocab = c.vocab;
  info.max_positions = c.positions;
  info.dropout = std::max({c.embedding_dropout, c.attention_dropout, c.inner_dropout});
  info.tied = true;
  info.head = HeadForm::classifier;
  info.head_rules.dropout = read_dropout(config, "classifier_dropout", 0, where);
  const int64_t d = c.hidden, f = c.intermediate, norm = d * (c.norm_bias ? 2 : 1);
  const int64_t attention = 4 * d * (d + (c.attention_bias ? 1 : 0)),
                feed_forward = 3 * d * f + (c.feed_forward_bias ? 2 * f + d : 0);
  info.parameters = c.vocab * d + c.layers * (attention + feed_forward) + (2 * c.layers + 1) * norm +  // the first has one less
                    d * (d + (c.pooler_bias ? 1 : 0)) + norm;
  info.embedding_parameters = c.vocab * d;
  info.pad_id = optional_id(config, "pad_token_id", where);
  return info;
}

std::unique_ptr<Backbone> make_modernbert(const ModelFiles& files, const ModelContext& context) {
  ModernBertConfig c = read_modernbert_config(files.config, files.where);
  ModernBertParts parts = Loader(files, context, c).parts();
  c.rotation = c.rotation.to(context.device);
  c.local_rotation = c.local_rotation.to(context.device);
  return std::make_unique<ModernBert>(std::move(c), modernbert_info(files.config, files.where), std::move(parts), context);
}

}  // namespace dept
