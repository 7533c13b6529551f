#include <ATen/ops/empty_like.h>

#include "dept/nn/modules.h"
#include "nn/attention_options.h"

namespace dept::nn {

SelfAttention::Views SelfAttention::split(const at::Tensor& fused) const {
  const int64_t n = fused.size(0);
  const at::Tensor all = fused.view({n, heads + 2 * kv_heads, head_dim});
  return {all.slice(1, 0, heads), all.slice(1, heads, heads + kv_heads), all.slice(1, heads + kv_heads, heads + 2 * kv_heads)};
}

at::Tensor SelfAttention::project(const at::Tensor& x, const AttentionPlan& plan) const {
  at::Tensor fused = qkv.forward(x);
  if (plan.angles.cosine.defined()) {
    at::Tensor rotated = fused.view({x.size(0), heads + 2 * kv_heads, head_dim}).slice(1, 0, heads + kv_heads);
    kernels::rope(rotated, plan.angles, false, qkv.kernels());
  }
  return fused;
}

at::Tensor SelfAttention::attend(const at::Tensor& x, const AttentionPlan& plan, Saved* saved) const {
  const at::Tensor fused = project(x, plan);
  const auto [q, k, v] = split(fused);
  at::Tensor lse;
  at::Tensor attended = kernels::attention({q, k, v}, plan.spans, with_dropout(plan, qkv.kernels()), &lse);
  if (saved != nullptr) *saved = {fused, lse};
  return attended;
}

at::Tensor SelfAttention::backward(const at::Tensor& d, const AttentionPlan& plan, const Saved& saved) const {
  const at::Tensor d_attended = out.backward_input(d);
  const auto [q, k, v] = split(saved.qkv);
  at::Tensor d_fused = at::empty_like(saved.qkv);
  const auto [dq, dk, dv] = split(d_fused);
  kernels::attention_backward(d_attended, saved.lse, {q, k, v}, plan.spans, with_dropout(plan, qkv.kernels()), {dq, dk, dv, {}});
  if (plan.angles.cosine.defined()) {
    at::Tensor rotated = d_fused.view({d.size(0), heads + 2 * kv_heads, head_dim}).slice(1, 0, heads + kv_heads);
    kernels::rope(rotated, plan.angles, true, qkv.kernels());
  }
  return qkv.backward_input(d_fused);
}

at::Tensor SelfAttention::extend(const at::Tensor& x, const AttentionPlan& plan, SlotCache& cache, size_t layer,
                                 const at::Tensor& rows) const {
  const auto [q, k, v] = split(project(x, plan));
  SlotCache::Layer& kept = cache.layers.at(layer);
  kept.k.index_copy_(0, rows, k);
  kept.v.index_copy_(0, rows, v);
  return kernels::attention({q, kept.k, kept.v}, plan.spans, options_of(plan, qkv.kernels()), nullptr);
}

}  // namespace dept::nn
