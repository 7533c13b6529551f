// A block of a decoder-only model, or of ModernBERT: attention and feed-forward, each with what stands around it.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros_like.h>

#include <optional>
#include <utility>
#include <vector>

#include "dept/nn/modules.h"
#include "dept/tensor/upload.h"
#include "models/common.h"

namespace dept {

inline int64_t bytes_of(const nn::SelfAttention::Saved& saved) {
  return bytes_of({saved.qkv, saved.lse}) + bytes_of(saved.query_norm) + bytes_of(saved.key_norm);
}

/// How a block attends.
struct AttentionForm {
  double scale = 1;
  int64_t window = 0;    ///< as kernels::AttentionOptions has it
  double score_cap = 0;  ///< likewise
  int rotation = -1;     ///< which of the model's, -1 none
};

/// What every block needs to know of a batch.
struct DecoderPlan {
  nn::AttentionPlan attention;                 ///< a block's form and dropout are added for each layer
  std::vector<kernels::RopeAngles> rotations;  ///< the model's, at the batch's positions
  ModelContext context;
  Call call;  ///< dropout is drawn again in backward
  Ragged tokens;
  Ragged going_on;                      ///< wanted tokens, where not all are (attention.wanted): of them alone the rest is made
  double attention_dropout = 0;         ///< of the probabilities
  double attention_output_dropout = 0;  ///< of what attention adds to the stream
  double inner_dropout = 0;             ///< of the feed-forward's units
  double feed_forward_output_dropout = 0;
  double embedding_dropout = 0;

  kernels::Dropout dropout(double p, int64_t layer, Site site) const { return kernels::Dropout(call, tokens, p, layer, site); }
  /// Behind attention.
  kernels::Dropout dropout_behind(double p, int64_t layer, Site site) const {
    return kernels::Dropout(call, attention.wanted.defined() ? going_on : tokens, p, layer, site);
  }
  kernels::Dropout attention_output(int64_t layer) const {
    return dropout_behind(attention_output_dropout, layer, Site::self_attention_output);
  }
  kernels::Dropout inner(int64_t layer) const { return dropout_behind(inner_dropout, layer, Site::feed_forward_inner); }
  kernels::Dropout feed_forward_output(int64_t layer) const {
    return dropout_behind(feed_forward_output_dropout, layer, Site::feed_forward_output);
  }
  nn::AttentionPlan attention_of(int64_t layer, const AttentionForm& form) const {
    nn::AttentionPlan made = attention;
    made.options.scale = form.scale;
    made.options.window = form.window;
    made.options.score_cap = form.score_cap;
    if (form.rotation >= 0) made.angles = rotations[static_cast<size_t>(form.rotation)];
    made.dropout = dropout(attention_dropout, layer, Site::self_attention_probabilities);
    return made;
  }
};

/// A batch's plan for all blocks of a stack but the last, behind whose attention wanted tokens alone may go on.
class DecoderPlans {
 public:
  DecoderPlans() = default;
  DecoderPlans(DecoderPlan all, const std::vector<int64_t>& wanted, size_t blocks) : all_(std::move(all)), blocks_(blocks) {
    if (wanted.empty() || blocks == 0) return;
    last_ = all_;
    last_->attention.wanted = upload(wanted, all_.context.device);
    last_->going_on = all_.tokens.some_tokens(wanted);
  }

  const DecoderPlan& all() const { return all_; }
  const DecoderPlan& of(size_t block) const { return last_ && block + 1 == blocks_ ? *last_ : all_; }
  /// int64 [n]; undefined: all.
  at::Tensor wanted() const { return last_ ? last_->attention.wanted : at::Tensor(); }

 private:
  DecoderPlan all_;
  std::optional<DecoderPlan> last_;
  size_t blocks_ = 0;
};

/// What stands around a branch: h += dropout(factor * after(branch(before(h)))), each norm where there is one.
template <class Norm>
struct ResidualBranch {
  std::optional<Norm> before, after;
  double factor = 1;

  struct Saved {
    typename Norm::Saved before, after;
    int64_t bytes() const { return bytes_of(before) + bytes_of(after); }
  };

  /// h residual [N, D] -> what the branch reads, C [N, D]
  at::Tensor read(const at::Tensor& h, const DecoderPlan& plan, Saved* saved) const {
    if (!before) return h.to(plan.context.compute);
    return before->forward(h, plan.context.compute, saved ? &saved->before : nullptr);
  }
  /// d += the gradient of h, from that of what `read` gave, C [N, D]
  void read_backward(const at::Tensor& dx, const Saved& saved, at::Tensor& d) const {
    if (before)
      before->backward(dx, saved.before, d);
    else
      d.add_(dx);
  }

  /// Whether the branch's output is added as its last linear gives it.
  bool plain() const { return !after && factor == 1; }

  /// h residual [N, D] and what goes into the branch's last linear -> h + what the branch gives
  at::Tensor add(const at::Tensor& h, const kernels::FrozenLinear& out, at::Tensor x, const kernels::Dropout& dropout,
                 const DecoderPlan& plan, Saved* saved) const {
    if (plain()) return out.add_forward(h, std::move(x), dropout);
    at::Tensor y = out.forward(x);
    if (after) y = after->forward(y.to(h.scalar_type()), plan.context.compute, saved ? &saved->after : nullptr);
    if (factor != 1) y = y * factor;
    return kernels::add_dropout(h, y, dropout, plan.context.kernels);
  }
  /// d residual [N, D], of what `add` gave -> the gradient of what its linear gave, C [N, D]
  at::Tensor add_backward(const at::Tensor& d, const kernels::Dropout& dropout, const DecoderPlan& plan,
                          const Saved& saved) const {
    at::Tensor dy = kernels::add_dropout_backward(d, dropout, plan.context.compute, plan.context.kernels);
    if (factor != 1) dy = dy * factor;
    if (!after) return dy;
    at::Tensor dx = at::zeros_like(d);
    after->backward(dy, saved.after, dx);
    return dx.to(plan.context.compute);
  }
};

/// h = attention's branch of h, then the feed-forward's; in parallel, both are of the same h.
template <class Norm>
struct DecoderBlock {
  ResidualBranch<Norm> around_attention, around_feed_forward;
  nn::SelfAttention attention;
  nn::FeedForward feed_forward;
  AttentionForm form;
  bool parallel = false;

  struct Saved {
    typename ResidualBranch<Norm>::Saved around_attention, around_feed_forward;
    nn::SelfAttention::Saved attention;
    nn::FeedForward::Saved feed_forward;

    int64_t bytes() const {
      return around_attention.bytes() + around_feed_forward.bytes() + bytes_of(attention) + bytes_of({feed_forward.kept});
    }
  };

  /// The norm in front of the block, for the block before.
  nn::NextNorm<Norm> first_norm(Saved* saved) const {
    if (!around_attention.before) return {};
    return {&*around_attention.before, saved != nullptr ? &saved->around_attention.before : nullptr};
  }

  /// stream.x, where it is defined, is what first_norm gave. That of the result is what `next` gives. Of wanted tokens alone,
  /// where the plan has some.
  nn::ResidualStream forward(nn::ResidualStream stream, const DecoderPlan& plan, int64_t layer, Saved* saved,
                             const nn::NextNorm<Norm>& next) const {
    if (!stream.x.defined()) stream.x = around_attention.read(stream.h, plan, saved ? &saved->around_attention : nullptr);
    at::Tensor attended = attention.attend(stream.x, plan.attention_of(layer, form), saved ? &saved->attention : nullptr);
    return feed(std::move(stream), std::move(attended), plan, layer, saved, next);
  }

  /// forward of new tokens over a cache
  nn::ResidualStream extend(nn::ResidualStream stream, const DecoderPlan& plan, nn::SlotCache& cache, int64_t layer,
                            const at::Tensor& rows, const nn::NextNorm<Norm>& next) const {
    if (!stream.x.defined()) stream.x = around_attention.read(stream.h, plan, nullptr);
    at::Tensor attended = attention.extend(stream.x, plan.attention_of(layer, form), cache, static_cast<size_t>(layer), rows);
    return feed(std::move(stream), std::move(attended), plan, layer, nullptr, next);
  }

  /// d is the gradient of the block's output, of wanted tokens alone where the plan has some, and becomes that of its input.
  /// `branch` is d through the dropout of the block's last branch, as backward of the block behind returned it; undefined: not
  /// made yet. before: the block before, null: none.
  at::Tensor backward(at::Tensor& d, const DecoderPlan& plan, int64_t layer, const Saved& saved, at::Tensor branch,
                      const DecoderBlock* before) const {
    const kernels::Dropout attended = plan.attention_output(layer);
    if (!branch.defined())
      branch = around_feed_forward.add_backward(d, plan.feed_forward_output(layer), plan, saved.around_feed_forward);
    const at::Tensor d_units = feed_forward.backward_units(branch, plan.inner(layer), saved.feed_forward);
    const auto heads = [&](const at::Tensor& of) {
      return attention.backward_heads(of, plan.attention_of(layer, form), saved.attention);
    };
    const auto ended = [&] { return around_attention.add_backward(d, attended, plan, saved.around_attention); };
    at::Tensor d_heads;
    if (joins()) {
      d_heads = heads(
          nn::norm_backward(feed_forward.wi, d_units, norm_of(around_feed_forward, saved.around_feed_forward, &attended), d));
    } else {
      if (parallel) d_heads = heads(ended());  // both branches read the same stream
      around_feed_forward.read_backward(feed_forward.wi.backward_input(d_units), saved.around_feed_forward, d);
      if (!parallel) d_heads = heads(ended());
    }
    d = nn::scatter_rows(d, plan.attention.wanted, d_heads.size(0));
    if (!around_attention.before) {
      around_attention.read_backward(attention.qkv.backward_input(d_heads), saved.around_attention, d);
      return {};
    }
    const bool ends_plain = before != nullptr && before->around_feed_forward.plain();
    const double p = ends_plain ? plan.feed_forward_output_dropout : 0;
    const kernels::Dropout fed = plan.dropout(p, layer - 1, Site::feed_forward_output);  // of all tokens: the last is not before
    return nn::norm_backward(attention.qkv, d_heads,
                             norm_of(around_attention, saved.around_attention, ends_plain ? &fed : nullptr), d);
  }

 private:
  /// Whether the stream goes from attention's last linear through the feed-forward's norm alone.
  bool joins() const { return !parallel && around_attention.plain() && around_feed_forward.before; }
  static nn::StreamNorm<Norm> norm_of(const ResidualBranch<Norm>& around, const typename ResidualBranch<Norm>::Saved& saved,
                                      const kernels::Dropout* before) {
    return {*around.before, kernels::NormPlace::before, saved.before, before};
  }

  nn::ResidualStream feed(nn::ResidualStream stream, at::Tensor attended, const DecoderPlan& plan, int64_t layer, Saved* saved,
                          const nn::NextNorm<Norm>& next) const {
    const kernels::Dropout dropout = plan.attention_output(layer);
    stream.h = nn::gather_rows(stream.h, plan.attention.wanted);
    auto* around = saved ? &saved->around_feed_forward : nullptr;
    if (joins()) {
      stream = nn::add_and_norm(attention.out, std::move(stream), std::move(attended), dropout, *around_feed_forward.before,
                                kernels::NormPlace::before, around ? &around->before : nullptr);
    } else {
      const at::Tensor h = parallel ? stream.h : at::Tensor();
      stream = {around_attention.add(stream.h, attention.out, std::move(attended), dropout, plan,
                                     saved ? &saved->around_attention : nullptr)};
      stream.x = around_feed_forward.read(parallel ? h : stream.h, plan, around);
    }
    at::Tensor units = feed_forward.units(stream.x, plan.inner(layer), saved ? &saved->feed_forward : nullptr);
    if (next.norm != nullptr && around_feed_forward.plain())
      return nn::add_and_norm(feed_forward.wo, std::move(stream), std::move(units), plan.feed_forward_output(layer), *next.norm,
                              kernels::NormPlace::before, next.saved);
    return {around_feed_forward.add(stream.h, feed_forward.wo, std::move(units), plan.feed_forward_output(layer), plan, around)};
  }
};

}  // namespace dept
