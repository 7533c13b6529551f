#include "models/llama.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/zeros.h>

#include <cmath>

#include "dept/nn/modules.h"
#include "models/common.h"

namespace dept {
namespace {

// h += attention(norm(h)); h += feed_forward(norm(h))
struct Block {
  nn::RmsNorm attention_norm;
  nn::SelfAttention attention;
  nn::RmsNorm feed_forward_norm;
  nn::GatedFeedForward feed_forward;

  struct Saved {
    nn::RmsNorm::Saved attention_norm;
    nn::SelfAttention::Saved attention;
    nn::RmsNorm::Saved feed_forward_norm;
    nn::GatedFeedForward::Saved feed_forward;

    int64_t bytes() const {
      return bytes_of({attention_norm.normalised, attention_norm.rstd, attention.qkv, attention.attended, attention.lse,
                       feed_forward_norm.normalised, feed_forward_norm.rstd, feed_forward.gate_up});
    }
  };

  at::Tensor feed(const at::Tensor& h, at::ScalarType dtype, Saved* saved) const {
    const at::Tensor x = feed_forward_norm.forward(h, dtype, saved ? &saved->feed_forward_norm : nullptr);
    return kernels::add_dropout(h, feed_forward.forward(x, {}, saved ? &saved->feed_forward : nullptr), {});
  }

  at::Tensor forward(const at::Tensor& h, at::ScalarType dtype, const nn::AttentionPlan& plan, Saved* saved) const {
    const at::Tensor x = attention_norm.forward(h, dtype, saved ? &saved->attention_norm : nullptr);
    return feed(kernels::add_dropout(h, attention.forward(x, plan, saved ? &saved->attention : nullptr), {}), dtype, saved);
  }

  at::Tensor extend(const at::Tensor& h, at::ScalarType dtype, const nn::AttentionPlan& plan, nn::SlotCache& cache, size_t layer,
                    const at::Tensor& rows) const {
    const at::Tensor x = attention_norm.forward(h, dtype, nullptr);
    return feed(kernels::add_dropout(h, attention.extend(x, plan, cache, layer, rows), {}), dtype, nullptr);
  }

  /// d is the gradient of the block's output and becomes that of its input.
  void backward(at::Tensor& d, at::ScalarType dtype, const nn::AttentionPlan& plan, const Saved& saved) const {
    feed_forward_norm.backward(feed_forward.backward(d.to(dtype), {}, saved.feed_forward), saved.feed_forward_norm, d);
    attention_norm.backward(attention.backward(d.to(dtype), plan, saved.attention), saved.attention_norm, d);
  }
};

struct LlamaSaved : Saved {
  nn::AttentionPlan plan;
  std::vector<Block::Saved> blocks;
  nn::RmsNorm::Saved final_norm;

  int64_t bytes() const override {
    int64_t total = bytes_of({final_norm.normalised, final_norm.rstd});
    for (const Block::Saved& block : blocks) total += block.bytes();
    return total;
  }
};

struct LlamaCache : KvCache {
  nn::SlotCache slots;
};

class Llama : public Backbone {
 public:
  Llama(const ModelFiles& files, const Context& ctx)
      : config_(read_llama_config(files.config, files.where)), info_(llama_info(files.config, files.where)), dtype_(ctx.compute) {
    info_.eos_ids = files.eos_ids;
    info_.storage = storage_name(dtype_);
    const auto load = [&](const std::string& name, at::IntArrayRef shape) { return files.loader(name, shape, dtype_); };
    const auto norm = [&](const std::string& name) {
      return nn::RmsNorm{files.loader(name, {config_.hidden}, ctx.residual()), config_.eps};
    };
    embedding_.table = load("model.embed_tokens.weight", {config_.vocab, config_.hidden});
    head_.table = config_.tied ? embedding_.table : load("lm_head.weight", {config_.vocab, config_.hidden});
    final_norm_ = norm("model.norm.weight");
    const int64_t d = config_.hidden, q = config_.heads * config_.head_dim, kv = config_.kv_heads * config_.head_dim;
    for (int64_t i = 0; i < config_.layers; ++i) {
      const std::string layer = str("model.layers.", i, ".");
      const auto linear = [&](std::vector<nn::LinearSpec::Part> parts, int64_t in) {
        for (nn::LinearSpec::Part& part : parts) part.name = layer + part.name;
        return files.loader.linear({std::move(parts), in}, dtype_);
      };
      Block block;
      block.attention_norm = norm(layer + "input_layernorm.weight");
      block.attention = {linear({{"self_attn.q_proj", q}, {"self_attn.k_proj", kv}, {"self_attn.v_proj", kv}}, d),
                         linear({{"self_attn.o_proj", d}}, q), config_.heads, config_.kv_heads, config_.head_dim};
      block.feed_forward_norm = norm(layer + "post_attention_layernorm.weight");
      block.feed_forward = {linear({{"mlp.gate_proj", config_.intermediate}, {"mlp.up_proj", config_.intermediate}}, d),
                            linear({{"mlp.down_proj", d}}, config_.intermediate)};
      blocks_.push_back(std::move(block));
    }
    frequency_ = at::pow(config_.theta, at::arange(0, config_.head_dim, 2, at::TensorOptions(at::kDouble)) /
                                            static_cast<double>(-config_.head_dim));
    if (files.weights != nullptr) files.weights->drop_pages();
  }

  const ModelInfo& info() const override { return info_; }
  at::Tensor embed(const at::Tensor& ids) const override { return embedding_.forward(ids); }

  at::Tensor forward(const Context& ctx, const Stream& source, const Stream* target,
                     std::unique_ptr<Saved>* saved) const override {
    check(ctx, source, target);
    auto kept = std::make_unique<LlamaSaved>();
    kept->plan = plan(ctx, source.tokens, kernels::self_attention_spans(source.tokens));
    kept->blocks.resize(saved ? blocks_.size() : 0);
    at::Tensor h = source.embeds.contiguous();
    for (size_t i = 0; i < blocks_.size(); ++i) h = blocks_[i].forward(h, dtype_, kept->plan, saved ? &kept->blocks[i] : nullptr);
    at::Tensor hidden = final_norm_.forward(h, dtype_, saved ? &kept->final_norm : nullptr);
    if (saved) *saved = std::move(kept);
    return hidden;
  }

  InputGradients backward(const Context& ctx, std::unique_ptr<Saved> saved, const at::Tensor& d_hidden) const override {
    auto& kept = dynamic_cast<LlamaSaved&>(*saved);
    at::Tensor d = at::zeros(d_hidden.sizes(), d_hidden.options().dtype(ctx.residual()));
    final_norm_.backward(d_hidden.to(dtype_).contiguous(), kept.final_norm, d);
    for (size_t i = blocks_.size(); i-- > 0;) {
      blocks_[i].backward(d, dtype_, kept.plan, kept.blocks[i]);
      kept.blocks[i] = {};
    }
    return {d, {}};
  }

  at::Tensor logits(const Context&, const at::Tensor& hidden) const override { return head_.forward(hidden); }
  at::Tensor logits_backward(const Context&, const at::Tensor& d_logits) const override { return head_.backward(d_logits); }

  std::unique_ptr<KvCache> start(const Context&, const Stream&, int64_t slots, int64_t) const override {
    auto cache = std::make_unique<LlamaCache>();
    cache->slots = nn::SlotCache(slots, config_.layers, config_.kv_heads, config_.head_dim, dtype_);
    return cache;
  }

  at::Tensor extend(const Context& ctx, KvCache& cache, const Stream& fresh, const std::vector<int64_t>& slots) const override {
    check(ctx, fresh, nullptr);
    nn::SlotCache& kept = dynamic_cast<LlamaCache&>(cache).slots;
    const at::Tensor rows = kept.append(fresh.tokens, slots);
    const nn::AttentionPlan now = plan(ctx, fresh.tokens, kept.spans(fresh.tokens, slots));
    at::Tensor h = fresh.embeds.contiguous();
    for (size_t i = 0; i < blocks_.size(); ++i) h = blocks_[i].extend(h, dtype_, now, kept, i, rows);
    return final_norm_.forward(h, dtype_, nullptr);
  }

  int64_t length(const KvCache& cache, int64_t slot) const override {
    return dynamic_cast<const LlamaCache&>(cache).slots.length.at(slot);
  }
  void rewind(KvCache& cache, int64_t slot, int64_t length) const override {
    dynamic_cast<LlamaCache&>(cache).slots.rewind(slot, length);
  }
  void copy_slots(KvCache& cache, const std::vector<int64_t>& from, const std::vector<int64_t>& to) const override {
    dynamic_cast<LlamaCache&>(cache).slots.copy(from, to);
  }

 private:
  void check(const Context& ctx, const Stream& stream, const Stream* target) const {
    if (target != nullptr) fail(Code::bug, "Llama", "no target stream", "one");
    if (ctx.compute != dtype_)
      fail(Code::bug, "Llama", str("a context of the weights' type ", info_.storage), storage_name(ctx.compute));
    check_stream(ctx, stream, config_.hidden, "Llama");
  }

  nn::AttentionPlan plan(const Context& ctx, const Ragged& tokens, std::vector<kernels::AttentionSpan> spans) const {
    nn::AttentionPlan made;
    made.spans = std::move(spans);
    made.options.scale = 1 / std::sqrt(static_cast<double>(config_.head_dim));
    made.options.causal = true;
    made.angles = kernels::rope_angles(tokens.position, frequency_, ctx.residual());
    return made;
  }

  LlamaConfig config_;
  ModelInfo info_;
  at::ScalarType dtype_;
  nn::Embedding embedding_;
  nn::Head head_;
  std::vector<Block> blocks_;
  nn::RmsNorm final_norm_;
  at::Tensor frequency_;  // fp64 [K/2]
};

// theta of the rotary embedding: rope_parameters in transformers 5, rope_theta and rope_scaling in 4.
double read_theta(const Json& config, const std::string& where) {
  double theta = value_or<double>(config, "rope_theta", 10000.0, where);
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    const auto found = config.find(key);
    if (found == config.end() || found->is_null()) continue;
    const std::string inner = str(where, ": ", key);
    const std::string type =
        value_or<std::string>(*found, "rope_type", value_or<std::string>(*found, "type", "default", inner), inner);
    if (type != "default") fail(Code::bad_input, inner, "rope_type default", quote(type));
    theta = value_or<double>(*found, "rope_theta", theta, inner);
  }
  if (!(theta > 0)) fail(Code::bad_input, where + ": rope_theta", "a positive number", str(theta));
  return theta;
}

}  // namespace

LlamaConfig read_llama_config(const Json& config, const std::string& where) {
  LlamaConfig c{};
  c.hidden = require_size(config, "hidden_size", where);
  c.intermediate = require_size(config, "intermediate_size", where);
  c.layers = require_size(config, "num_hidden_layers", where);
  c.heads = require_size(config, "num_attention_heads", where);
  c.kv_heads = config.contains("num_key_value_heads") ? require_size(config, "num_key_value_heads", where) : c.heads;
  c.head_dim =
      config.contains("head_dim") && !config["head_dim"].is_null() ? require_size(config, "head_dim", where) : c.hidden / c.heads;
  c.vocab = require_size(config, "vocab_size", where);
  c.max_positions = value_or<int64_t>(config, "max_position_embeddings", 2048, where);
  c.eps = value_or<double>(config, "rms_norm_eps", 1e-6, where);
  c.theta = read_theta(config, where);
  c.tied = value_or<bool>(config, "tie_word_embeddings", false, where);
  if (c.heads % c.kv_heads != 0)
    fail(Code::bad_input, where + ": num_key_value_heads", str("a divisor of ", c.heads), str(c.kv_heads));
  if (c.head_dim % 2 != 0) fail(Code::bad_input, where + ": head_dim", "an even number", str(c.head_dim));
  for (const char* key : {"attention_bias", "mlp_bias"})
    if (value_or<bool>(config, key, false, where)) fail(Code::bad_input, str(where, ": ", key), "false", "true");
  if (const auto act = value_or<std::string>(config, "hidden_act", "silu", where); act != "silu")
    fail(Code::bad_input, where + ": hidden_act", "silu", quote(act));
  return c;
}

ModelInfo llama_info(const Json& config, const std::string& where) {
  const LlamaConfig c = read_llama_config(config, where);
  ModelInfo info;
  info.model_type = "llama";
  info.hidden = c.hidden;
  info.layers = c.layers;
  info.heads = c.heads;
  info.vocab = c.vocab;
  info.max_positions = c.max_positions;
  info.tied = c.tied;
  const int64_t attention = c.hidden * c.head_dim * (2 * c.heads + 2 * c.kv_heads), feed_forward = 3 * c.hidden * c.intermediate;
  info.parameters = c.layers * (attention + feed_forward + 2 * c.hidden) + c.hidden + c.vocab * c.hidden * (c.tied ? 1 : 2);
  info.bos_id = optional_id(config, "bos_token_id", where);
  info.pad_id = optional_id(config, "pad_token_id", where);
  return info;
}

std::unique_ptr<Backbone> make_llama(const ModelFiles& files, const Context& ctx) {
  return std::make_unique<Llama>(files, ctx);
}

}  // namespace dept
