#include "models/bart_blocks.h"

namespace dept {

nn::AttentionPlan BartPlan::self_of(int64_t layer) const {
  nn::AttentionPlan made = self;
  made.dropout = drop(attention_dropout, layer, Site::self_attention_probabilities);
  return made;
}

nn::AttentionPlan BartPlan::cross_of(int64_t layer) const {
  nn::AttentionPlan made = cross;
  made.dropout = drop(attention_dropout, layer, Site::cross_attention_probabilities);
  return made;
}

int64_t BartBlock::Saved::bytes() const {
  return bytes_of({attention.qkv, attention.lse, cross.q, cross.memory.kv, cross.lse, feed_forward.kept}) +
         bytes_of(attention_norm) + bytes_of(cross_norm) + bytes_of(feed_forward_norm);
}

at::Tensor BartBlock::forward(const at::Tensor& h, const nn::CrossAttention::Memory& memory, const BartPlan& plan, int64_t layer,
                              Saved* saved) const {
  at::Tensor attended = attention.attend(h.to(plan.context.compute), plan.self_of(layer), saved ? &saved->attention : nullptr);
  return behind_attention(h, std::move(attended), cross ? cross->own_memory(memory) : memory, plan, layer, saved);
}

at::Tensor BartBlock::extend(const at::Tensor& h, const nn::CrossAttention::Memory& memory, const BartPlan& plan,
                             nn::SlotCache& cache, int64_t layer, const at::Tensor& rows) const {
  at::Tensor attended =
      attention.extend(h.to(plan.context.compute), plan.self_of(layer), cache, static_cast<size_t>(layer), rows);
  return behind_attention(h, std::move(attended), memory, plan, layer, nullptr);
}

at::Tensor BartBlock::behind_attention(const at::Tensor& h, at::Tensor attended, const nn::CrossAttention::Memory& memory,
                                       const BartPlan& plan, int64_t layer, Saved* saved) const {
  const at::ScalarType dtype = plan.context.compute, residual = plan.context.residual();
  at::Tensor x = attention.out.add_forward(h, std::move(attended), plan.output(layer, Site::self_attention_output));
  x = attention_norm.forward(x, residual, saved ? &saved->attention_norm : nullptr);
  if (cross) {
    at::Tensor read = cross->attend(x.to(dtype), memory, plan.cross_of(layer), saved ? &saved->cross : nullptr);
    x = cross->out.add_forward(x, std::move(read), plan.output(layer, Site::cross_attention_output));
    x = cross_norm.forward(x, residual, saved ? &saved->cross_norm : nullptr);
  }
  at::Tensor units = feed_forward.units(x.to(dtype), plan.inner(layer), saved ? &saved->feed_forward : nullptr);
  x = feed_forward.wo.add_forward(x, std::move(units), plan.output(layer, Site::feed_forward_output));
  return feed_forward_norm.forward(x, residual, saved ? &saved->feed_forward_norm : nullptr);
}

at::Tensor BartBlock::backward(const at::Tensor& d_out, at::Tensor& d_memory, const BartPlan& plan, int64_t layer,
                               const Saved& saved) const {
  const Kernels kernels = plan.context.kernels;
  const auto branch = [&](const at::Tensor& d, Site site) {
    return kernels::add_dropout_backward(d, plan.output(layer, site), plan.context.compute, kernels);
  };
  const auto past = [&](const at::Tensor& d, const at::Tensor& through) { return kernels::add_dropout(d, through, {}, kernels); };
  at::Tensor d = feed_forward_norm.backward(d_out, saved.feed_forward_norm);
  d = past(d, feed_forward.backward(branch(d, Site::feed_forward_output), plan.inner(layer), saved.feed_forward));
  if (cross) {
    d = cross_norm.backward(d, saved.cross_norm);
    d = past(d, cross->backward(branch(d, Site::cross_attention_output), plan.cross_of(layer), saved.cross, d_memory));
  }
  d = attention_norm.backward(d, saved.attention_norm);
  return past(d, attention.backward(branch(d, Site::self_attention_output), plan.self_of(layer), saved.attention));
}

}  // namespace dept
