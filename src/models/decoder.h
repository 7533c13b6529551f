// What decoder-only families have in common: pre-norm blocks over a causal slot cache, a final norm and a head. A family reads
// its configuration and fills in a DecoderWeights.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/max.h>
#include <ATen/ops/zeros.h>

#include <memory>
#include <utility>
#include <vector>

#include "dept/nn/modules.h"
#include "models/common.h"
#include "models/rope_scaling.h"

namespace dept {

inline int64_t bytes_of(const nn::RmsNorm::Saved& saved) {
  return bytes_of({saved.normalised, saved.rstd});
}
inline int64_t bytes_of(const nn::LayerNorm::Saved& saved) {
  return bytes_of({saved.x, saved.statistics});
}

/// What every block needs to know of a batch.
struct DecoderPlan {
  nn::AttentionPlan attention;  ///< scale and dropout are set for each layer
  ModelContext context;
  Call call;  ///< dropout is drawn again in backward
  Ragged tokens;
  double attention_dropout = 0, residual_dropout = 0, embedding_dropout = 0;

  kernels::Dropout dropout(double p, int64_t layer, Site site) const { return kernels::Dropout(call, tokens, p, layer, site); }
  nn::AttentionPlan attention_of(int64_t layer, double scale) const {
    nn::AttentionPlan made = attention;
    made.options.scale = scale;
    made.dropout = dropout(attention_dropout, layer, Site::self_attention_probabilities);
    return made;
  }
};

/// h += dropout(attention(norm(h))); h += dropout(feed_forward(norm(h)))
template <class Norm>
struct DecoderBlock {
  Norm attention_norm;
  nn::SelfAttention attention;
  Norm feed_forward_norm;
  nn::FeedForward feed_forward;
  double attention_scale = 1;

  struct Saved {
    typename Norm::Saved attention_norm, feed_forward_norm;
    nn::SelfAttention::Saved attention;
    nn::FeedForward::Saved feed_forward;

    int64_t bytes() const {
      return bytes_of(attention_norm) + bytes_of(feed_forward_norm) + bytes_of({attention.qkv, attention.lse, feed_forward.kept});
    }
  };

  /// h residual [N, D] -> [N, D]
  at::Tensor forward(const at::Tensor& h, const DecoderPlan& plan, int64_t layer, Saved* saved) const {
    const at::Tensor x = attention_norm.forward(h, plan.context.compute, saved ? &saved->attention_norm : nullptr);
    const at::Tensor attended =
        attention.attend(x, plan.attention_of(layer, attention_scale), saved ? &saved->attention : nullptr);
    return feed(h, attended, plan, layer, saved);
  }

  /// forward of new tokens over a cache
  at::Tensor extend(const at::Tensor& h, const DecoderPlan& plan, nn::SlotCache& cache, int64_t layer,
                    const at::Tensor& rows) const {
    const at::Tensor x = attention_norm.forward(h, plan.context.compute, nullptr);
    return feed(h, attention.extend(x, plan.attention_of(layer, attention_scale), cache, static_cast<size_t>(layer), rows), plan,
                layer, nullptr);
  }

  /// d is the gradient of the block's output and becomes the gradient of its input.
  void backward(at::Tensor& d, const DecoderPlan& plan, int64_t layer, const Saved& saved) const {
    const auto branch = [&](Site site) {
      return kernels::add_dropout_backward(d, plan.dropout(plan.residual_dropout, layer, site), plan.context.compute,
                                           plan.context.kernels);
    };
    feed_forward_norm.backward(feed_forward.backward(branch(Site::feed_forward_output), {}, saved.feed_forward),
                               saved.feed_forward_norm, d);
    attention_norm.backward(
        attention.backward(branch(Site::self_attention_output), plan.attention_of(layer, attention_scale), saved.attention),
        saved.attention_norm, d);
  }

 private:
  at::Tensor feed(const at::Tensor& h, const at::Tensor& attended, const DecoderPlan& plan, int64_t layer, Saved* saved) const {
    const auto dropout = [&](Site site) { return plan.dropout(plan.residual_dropout, layer, site); };
    const at::Tensor middle = attention.out.add_forward(h, attended, dropout(Site::self_attention_output));
    const at::Tensor x = feed_forward_norm.forward(middle, plan.context.compute, saved ? &saved->feed_forward_norm : nullptr);
    return feed_forward.wo.add_forward(middle, feed_forward.units(x, {}, saved ? &saved->feed_forward : nullptr),
                                       dropout(Site::feed_forward_output));
  }
};

template <class Norm>
struct DecoderWeights {
  ModelInfo info;
  nn::Embedding embedding;
  nn::Head head;
  at::Tensor positions;  ///< [P, D] of the residual's type, added to the embeddings; undefined: none
  RopeScaling rope;      ///< without frequencies: no rotation
  std::vector<DecoderBlock<Norm>> blocks;
  Norm final_norm;
  double attention_dropout = 0, residual_dropout = 0, embedding_dropout = 0;
};

template <class Norm>
class Decoder : public TextModel {
 public:
  Decoder(DecoderWeights<Norm> weights, const ModelFiles& files, const ModelContext& context)
      : TextModel(context), weights_(std::move(weights)), dtype_(context.compute) {
    weights_.info.eos_ids = files.eos_ids;
    weights_.info.storage = storage_name(context);
  }

  const ModelInfo& info() const override { return weights_.info; }
  at::Tensor embed(const at::Tensor& ids) const override { return weights_.embedding.forward(ids); }

  at::Tensor forward(const Call& call, const Stream& source, const Stream* target, std::unique_ptr<Saved>* saved) const override {
    check(source, target);
    auto kept = std::make_unique<Kept>();
    kept->plan = plan(call, source.tokens, kernels::self_attention_spans(source.tokens));
    kept->blocks.resize(saved ? weights_.blocks.size() : 0);
    at::Tensor h = begin(source, kept->plan);
    for (size_t i = 0; i < weights_.blocks.size(); ++i)
      h = weights_.blocks[i].forward(h, kept->plan, static_cast<int64_t>(i), saved ? &kept->blocks[i] : nullptr);
    at::Tensor hidden = weights_.final_norm.forward(h, dtype_, saved ? &kept->final_norm : nullptr);
    if (saved) *saved = std::move(kept);
    return hidden;
  }

  InputGradients backward(std::unique_ptr<Saved> saved, const at::Tensor& d_hidden) const override {
    auto& kept = dynamic_cast<Kept&>(*saved);
    at::Tensor d = at::zeros(d_hidden.sizes(), d_hidden.options().dtype(kept.plan.context.residual()));
    weights_.final_norm.backward(d_hidden.to(dtype_).contiguous(), kept.final_norm, d);
    for (size_t i = weights_.blocks.size(); i-- > 0;) {
      weights_.blocks[i].backward(d, kept.plan, static_cast<int64_t>(i), kept.blocks[i]);
      kept.blocks[i] = {};
    }
    return {kernels::apply_dropout(d, embedding_dropout(kept.plan), kept.plan.context.kernels), {}};
  }

  at::Tensor logits(const at::Tensor& hidden) const override { return weights_.head.forward(hidden); }
  at::Tensor logits_backward(const at::Tensor& d_logits) const override { return weights_.head.backward(d_logits); }

  std::unique_ptr<KvCache> start(const Stream&, int64_t slots, int64_t expected) const override {
    const nn::SelfAttention& attention = weights_.blocks.front().attention;
    auto cache = std::make_unique<Cache>();
    cache->slots = nn::SlotCache(slots, info().layers, attention.kv_heads, attention.head_dim,
                                 at::TensorOptions(dtype_).device(context().device), expected);
    return cache;
  }

  at::Tensor extend(KvCache& cache, const Stream& fresh, const std::vector<int64_t>& slots) const override {
    check(fresh, nullptr);
    nn::SlotCache& kept = slots_of(cache);
    const at::Tensor rows = kept.append(fresh.tokens, slots);
    const DecoderPlan now = plan(Call(), fresh.tokens, kept.spans(fresh.tokens, slots));
    at::Tensor h = begin(fresh, now);
    for (size_t i = 0; i < weights_.blocks.size(); ++i)
      h = weights_.blocks[i].extend(h, now, kept, static_cast<int64_t>(i), rows);
    return weights_.final_norm.forward(h, dtype_, nullptr);
  }

  int64_t length(const KvCache& cache, int64_t slot) const override {
    return dynamic_cast<const Cache&>(cache).slots.length.at(slot);
  }
  void rewind(KvCache& cache, int64_t slot, int64_t length) const override { slots_of(cache).rewind(slot, length); }
  void copy_slots(KvCache& cache, const std::vector<int64_t>& from, const std::vector<int64_t>& to) const override {
    slots_of(cache).copy(from, to);
  }

 private:
  struct Kept : Saved {
    DecoderPlan plan;
    std::vector<typename DecoderBlock<Norm>::Saved> blocks;
    typename Norm::Saved final_norm;

    int64_t bytes() const override {
      int64_t total = bytes_of(final_norm);
      for (const auto& block : blocks) total += block.bytes();
      return total;
    }
  };
  struct Cache : KvCache {
    nn::SlotCache slots;
  };
  static nn::SlotCache& slots_of(KvCache& cache) { return dynamic_cast<Cache&>(cache).slots; }

  void check(const Stream& stream, const Stream* target) const {
    if (target != nullptr) fail(Code::bug, info().model_type, "no target stream", "one");
    check_stream(context(), stream, info().hidden, info().model_type);
  }

  DecoderPlan plan(const Call& call, const Ragged& tokens, std::vector<kernels::AttentionSpan> spans) const {
    DecoderPlan made;
    made.attention.spans = std::move(spans);
    made.attention.options.causal = true;
    made.attention.angles = weights_.rope.angles(tokens.position, context().residual());
    made.context = context();
    made.call = call;
    made.tokens = tokens;
    made.attention_dropout = weights_.attention_dropout;
    made.residual_dropout = weights_.residual_dropout;
    made.embedding_dropout = weights_.embedding_dropout;
    return made;
  }

  static kernels::Dropout embedding_dropout(const DecoderPlan& plan) {
    return plan.dropout(plan.embedding_dropout, 0, Site::embedding);
  }

  at::Tensor positions_of(const Ragged& tokens) const {
    const at::Tensor& position = tokens.position;
    const int64_t room = weights_.positions.size(0), last = position.numel() > 0 ? at::max(position).item<int64_t>() : 0;
    if (last >= room)
      fail(Code::bad_input, str(info().model_type, ": n_positions"), str("at most ", room, " tokens, prompt and answer included"),
           str(last + 1));
    return weights_.positions.index_select(0, position.to(weights_.positions.device()));
  }

  /// dropout(embeds + learned positions)
  at::Tensor begin(const Stream& stream, const DecoderPlan& plan) const {
    at::Tensor h = stream.embeds.contiguous();
    if (weights_.positions.defined()) h = h + positions_of(stream.tokens);
    return kernels::apply_dropout(h, embedding_dropout(plan), plan.context.kernels);
  }

  DecoderWeights<Norm> weights_;
  at::ScalarType dtype_;
};

}  // namespace dept
