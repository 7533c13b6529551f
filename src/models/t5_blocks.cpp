#include "models/t5_blocks.h"

namespace dept {

nn::AttentionPlan T5Plan::self_of(int64_t layer) const {
  nn::AttentionPlan made = self;
  made.options.relative_bias = biases.size() > 1 ? biases[static_cast<size_t>(layer)] : biases.front();
  made.dropout = dropout(layer, Site::self_attention_probabilities);
  return made;
}

nn::AttentionPlan T5Plan::cross_of(int64_t layer) const {
  nn::AttentionPlan made = cross;
  made.dropout = dropout(layer, Site::cross_attention_probabilities);
  return made;
}

int64_t T5Block::Saved::bytes() const {
  return bytes_of({attention_norm.normalised, attention_norm.rstd, attention.qkv, attention.lse, cross_norm.normalised,
                   cross_norm.rstd, cross.q, cross.memory.kv, cross.lse, feed_forward_norm.normalised, feed_forward_norm.rstd,
                   feed_forward.kept});
}

at::Tensor T5Block::forward(at::Tensor h, const nn::CrossAttention::Memory& memory, const T5Plan& plan, int64_t layer,
                            Saved* saved) const {
  at::Tensor x = attention_norm.forward(h, plan.dtype, saved ? &saved->attention_norm : nullptr);
  x = attention.attend(x, plan.self_of(layer), saved ? &saved->attention : nullptr);
  h = attention.out.add_forward(std::move(h), x, plan.dropout(layer, Site::self_attention_output));
  if (cross) {
    x = cross_norm.forward(h, plan.dtype, saved ? &saved->cross_norm : nullptr);
    x = cross->attend(x, cross->own_memory(memory), plan.cross_of(layer), saved ? &saved->cross : nullptr);
    h = cross->out.add_forward(std::move(h), x, plan.dropout(layer, Site::cross_attention_output));
  }
  x = feed_forward_norm.forward(h, plan.dtype, saved ? &saved->feed_forward_norm : nullptr);
  x = feed_forward.units(x, plan.dropout(layer, Site::feed_forward_inner), saved ? &saved->feed_forward : nullptr);
  return feed_forward.wo.add_forward(std::move(h), x, plan.dropout(layer, Site::feed_forward_output));
}

void T5Block::backward(at::Tensor& d, at::Tensor& d_memory, const T5Plan& plan, int64_t layer, const Saved& saved) const {
  const auto branch = [&](Site site) {
    return kernels::add_dropout_backward(d, plan.dropout(layer, site), plan.dtype, plan.kernels);
  };
  feed_forward_norm.backward(
      feed_forward.backward(branch(Site::feed_forward_output), plan.dropout(layer, Site::feed_forward_inner), saved.feed_forward),
      saved.feed_forward_norm, d);
  if (cross)
    cross_norm.backward(cross->backward(branch(Site::cross_attention_output), plan.cross_of(layer), saved.cross, d_memory),
                        saved.cross_norm, d);
  attention_norm.backward(attention.backward(branch(Site::self_attention_output), plan.self_of(layer), saved.attention),
                          saved.attention_norm, d);
}

at::Tensor T5Block::extend(at::Tensor h, const nn::CrossAttention::Memory& memory, const T5Plan& plan, nn::SlotCache& cache,
                           int64_t layer, const at::Tensor& rows) const {
  at::Tensor x = attention.extend(attention_norm.forward(h, plan.dtype, nullptr), plan.self_of(layer), cache, layer, rows);
  h = attention.out.add_forward(std::move(h), x, {});
  x = cross->attend(cross_norm.forward(h, plan.dtype, nullptr), memory, plan.cross, nullptr);
  h = cross->out.add_forward(std::move(h), x, {});
  x = feed_forward.units(feed_forward_norm.forward(h, plan.dtype, nullptr), {}, nullptr);
  return feed_forward.wo.add_forward(std::move(h), x, {});
}

}  // namespace dept
