// What decoder-only families have in common: blocks over a causal slot cache, a final norm and a head. A family reads its
// configuration and fills in a DecoderWeights.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/max.h>
#include <ATen/ops/zeros.h>

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "dept/models/pooled.h"
#include "dept/tensor/upload.h"
#include "models/decoder_block.h"
#include "models/rope_scaling.h"
#include "models/slot_history.h"

namespace dept {

template <class Norm>
struct DecoderWeights {
  ModelInfo info;
  nn::Embedding embedding;
  nn::Head head;
  double input_scale = 1;              ///< what the embeddings are multiplied with, prompts among them
  at::Tensor positions;                ///< [P, D] of the residual's type, added to the embeddings; undefined: none
  std::vector<RopeScaling> rotations;  ///< among which the blocks choose
  std::vector<DecoderBlock<Norm>> blocks;
  Norm final_norm;
  double attention_dropout = 0, residual_dropout = 0, embedding_dropout = 0;
};

template <class Norm>
class Decoder : public TextModel, public PooledModel {
 public:
  Decoder(DecoderWeights<Norm> weights, const ModelFiles& files, const ModelContext& context)
      : TextModel(context), weights_(std::move(weights)), dtype_(context.compute) {
    for (const RopeScaling& rotation : weights_.rotations) weights_.info.rotates_by_length |= rotation.by_length();
    weights_.info.eos_ids = files.eos_ids;
    weights_.info.storage = storage_name(context);
  }

  const ModelInfo& info() const override { return weights_.info; }
  at::Tensor embed(const at::Tensor& ids) const override { return weights_.embedding.forward(ids); }

  at::Tensor forward(const Call& call, const Stream& source, const Stream* target, std::unique_ptr<Saved>* saved) const override {
    check(source, target);
    auto kept = std::make_unique<Kept>();
    kept->plans = {plan(call, source.tokens, kernels::self_attention_spans(source.tokens)), source.wanted,
                   weights_.blocks.size()};
    kept->blocks.resize(saved ? weights_.blocks.size() : 0);
    nn::ResidualStream stream{begin(source, kept->plans.all())};
    for (size_t i = 0; i < weights_.blocks.size(); ++i)
      stream = weights_.blocks[i].forward(std::move(stream), kept->plans.of(i), static_cast<int64_t>(i),
                                          saved ? &kept->blocks[i] : nullptr, norm_behind(i, saved ? kept.get() : nullptr));
    at::Tensor hidden = finished(stream, saved ? &kept->final_norm : nullptr);
    hidden = nn::scatter_rows(hidden, kept->plans.wanted(), source.tokens.tokens());
    if (saved) *saved = std::move(kept);
    return hidden;
  }

  InputGradients backward(std::unique_ptr<Saved> saved, const at::Tensor& d_hidden) const override {
    auto& kept = dynamic_cast<Kept&>(*saved);
    const DecoderPlan& all = kept.plans.all();
    const at::Tensor d_wanted = nn::gather_rows(d_hidden, kept.plans.wanted());
    at::Tensor d = at::zeros(d_wanted.sizes(), d_wanted.options().dtype(all.context.residual()));
    weights_.final_norm.backward(d_wanted.to(dtype_).contiguous(), kept.final_norm, d);
    at::Tensor branch;
    for (size_t i = weights_.blocks.size(); i-- > 0;) {
      branch = weights_.blocks[i].backward(d, kept.plans.of(i), static_cast<int64_t>(i), kept.blocks[i], branch,
                                           i > 0 ? &weights_.blocks[i - 1] : nullptr);
      kept.blocks[i] = {};
    }
    d = kernels::apply_dropout(d, embedding_dropout(all), all.context.kernels);
    return {weights_.input_scale == 1 ? d : d * weights_.input_scale, {}};
  }

  at::Tensor logits(const at::Tensor& hidden) const override { return weights_.head.forward(hidden); }
  at::Tensor logits_backward(const at::Tensor& d_logits, const at::Tensor& logits) const override {
    return weights_.head.backward(d_logits, logits);
  }

  std::unique_ptr<KvCache> start(const Stream&, int64_t slots, int64_t expected) const override {
    const nn::SelfAttention& attention = weights_.blocks.front().attention;
    return make_cache(slots,
                      nn::SlotCache(slots, info().layers, attention.kv_heads, attention.head_dim, cache_options(), expected));
  }

  at::Tensor extend(KvCache& cache, const Stream& fresh, const std::vector<int64_t>& slots) const override {
    check(fresh, nullptr);
    nn::SlotCache& kept = slots_of(cache);
    auto& history = dynamic_cast<Cache&>(cache).history;
    const Stream run = history ? history->take(fresh, slots, kept) : fresh;
    const at::Tensor rows = kept.append(run.tokens, slots);
    const DecoderPlans now(plan(Call(), run.tokens, kept.spans(run.tokens, slots)), run.wanted, weights_.blocks.size());
    nn::ResidualStream stream{begin(run, now.all())};
    for (size_t i = 0; i < weights_.blocks.size(); ++i)
      stream =
          weights_.blocks[i].extend(std::move(stream), now.of(i), kept, static_cast<int64_t>(i), rows, norm_behind(i, nullptr));
    const at::Tensor hidden = nn::scatter_rows(finished(stream, nullptr), now.wanted(), run.tokens.tokens());
    return last_rows(hidden, run.tokens, fresh.tokens);
  }

  int64_t length(const KvCache& cache, int64_t slot) const override {
    return dynamic_cast<const Cache&>(cache).slots.length.at(slot);
  }
  void rewind(KvCache& cache, int64_t slot, int64_t length) const override {
    slots_of(cache).rewind(slot, length);
    if (auto& history = dynamic_cast<Cache&>(cache).history) history->rewind(slot, length);
  }
  void copy_slots(KvCache& cache, const std::vector<int64_t>& from, const std::vector<int64_t>& to) const override {
    slots_of(cache).copy(from, to);
    if (auto& history = dynamic_cast<Cache&>(cache).history) history->copy(from, to);
  }

  int64_t token_bytes() const override {
    const nn::SelfAttention& attention = weights_.blocks.front().attention;
    return 2 * info().layers * attention.kv_heads * attention.head_dim * static_cast<int64_t>(c10::elementSize(dtype_));
  }
  int64_t memory_token_bytes() const override { return 0; }
  std::unique_ptr<KvCache> pool(const PoolSize& size) const override {
    const nn::SelfAttention& attention = weights_.blocks.front().attention;
    return make_cache(size.slots, nn::SlotCache::pool(size.slots, info().layers, attention.kv_heads, attention.head_dim,
                                                      cache_options(), size.tokens));
  }
  bool reserve(KvCache& pool, int64_t slot, int64_t tokens, int64_t) const override {
    return slots_of(pool).reserve(slot, tokens);
  }
  void encode(KvCache&, const Stream&, const std::vector<int64_t>&) const override {
    fail(Code::bug, info().model_type, "no source to encode", "one");
  }
  void release(KvCache& pool, int64_t slot) const override {
    slots_of(pool).release(slot);
    if (auto& history = dynamic_cast<Cache&>(pool).history) history->rewind(slot, 0);
  }

 private:
  struct Kept : Saved {
    DecoderPlans plans;
    std::vector<typename DecoderBlock<Norm>::Saved> blocks;
    typename Norm::Saved final_norm;

    int64_t bytes() const override {
      int64_t total = bytes_of(final_norm);
      for (const auto& block : blocks) total += block.bytes();
      return total;
    }
  };
  // What reads the stream behind block i; kept may be null.
  nn::NextNorm<Norm> norm_behind(size_t i, Kept* kept) const {
    if (i + 1 < weights_.blocks.size())
      return weights_.blocks[i + 1].first_norm(kept != nullptr ? &kept->blocks[i + 1] : nullptr);
    return {&weights_.final_norm, kept != nullptr ? &kept->final_norm : nullptr};
  }
  at::Tensor finished(const nn::ResidualStream& stream, typename Norm::Saved* saved) const {
    return stream.x.defined() ? stream.x : weights_.final_norm.forward(stream.h, dtype_, saved);
  }

  struct Cache : KvCache {
    nn::SlotCache slots;
    std::optional<SlotHistory> history;  ///< of a model that rotates by length
  };
  static nn::SlotCache& slots_of(KvCache& cache) { return dynamic_cast<Cache&>(cache).slots; }

  at::TensorOptions cache_options() const { return at::TensorOptions(dtype_).device(context().device); }
  std::unique_ptr<Cache> make_cache(int64_t slots, nn::SlotCache kept) const {
    auto cache = std::make_unique<Cache>();
    cache->slots = std::move(kept);
    for (const RopeScaling& rotation : weights_.rotations)
      if (rotation.by_length()) cache->history.emplace(slots, rotation);
    return cache;
  }

  void check(const Stream& stream, const Stream* target) const {
    if (target != nullptr) fail(Code::bug, info().model_type, "no target stream", "one");
    check_stream(context(), stream, info().hidden, info().model_type);
  }

  DecoderPlan plan(const Call& call, const Ragged& tokens, std::vector<kernels::AttentionSpan> spans) const {
    DecoderPlan made;
    made.attention.spans = std::move(spans);
    made.attention.options.causal = true;
    for (const RopeScaling& rotation : weights_.rotations)
      made.rotations.push_back(rotation.angles(tokens, context().residual()));
    made.context = context();
    made.call = call;
    made.tokens = tokens;
    made.attention_dropout = weights_.attention_dropout;
    made.attention_output_dropout = made.feed_forward_output_dropout = weights_.residual_dropout;
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
    return weights_.positions.index_select(0, upload_positions(tokens, weights_.positions.device()));
  }

  /// dropout(scale * embeds + learned positions)
  at::Tensor begin(const Stream& stream, const DecoderPlan& plan) const {
    at::Tensor h = stream.embeds.contiguous();
    if (weights_.input_scale != 1) h = h * weights_.input_scale;
    if (weights_.positions.defined()) h = h + positions_of(stream.tokens);
    return kernels::apply_dropout(h, embedding_dropout(plan), plan.context.kernels);
  }

  DecoderWeights<Norm> weights_;
  at::ScalarType dtype_;
};

}  // namespace dept
