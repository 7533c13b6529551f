#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>

#include "dept/nn/modules.h"
#include "nn/attention_options.h"

namespace dept::nn {
namespace {

// heads [N, H, K] as rows of the norm's width, in the residual's type.
at::Tensor norm_rows(const RmsNorm& norm, const at::Tensor& heads) {
  return heads.to(norm.weight.scalar_type()).reshape({-1, norm.weight.size(0)}).contiguous();
}

void normalise(const RmsNorm& norm, const at::Tensor& heads, RmsNorm::Saved* saved) {
  heads.copy_(norm.forward(norm_rows(norm, heads), heads.scalar_type(), saved).view(heads.sizes()));
}

// d_heads is the gradient of what normalise gave and becomes that of what it took.
void normalise_backward(const RmsNorm& norm, const at::Tensor& d_heads, const RmsNorm::Saved& saved) {
  at::Tensor dx = at::zeros(saved.normalised.sizes(), norm.weight.options());
  norm.backward(d_heads.reshape(dx.sizes()).contiguous(), saved, dx);
  d_heads.copy_(dx.view(d_heads.sizes()));
}

}  // namespace

SelfAttention::Views SelfAttention::split(const at::Tensor& fused) const {
  const int64_t n = fused.size(0);
  const at::Tensor all = fused.view({n, heads + 2 * kv_heads, head_dim});
  return {all.slice(1, 0, heads), all.slice(1, heads, heads + kv_heads), all.slice(1, heads + kv_heads, heads + 2 * kv_heads)};
}

void SelfAttention::rotate(const at::Tensor& fused, const AttentionPlan& plan, bool inverse) const {
  if (!plan.angles.cosine.defined()) return;
  at::Tensor rotated = fused.view({fused.size(0), heads + 2 * kv_heads, head_dim}).slice(1, 0, heads + kv_heads);
  kernels::rope(rotated, plan.angles, inverse, qkv.kernels());
}

at::Tensor SelfAttention::project(const at::Tensor& x, const AttentionPlan& plan, Saved* saved) const {
  at::Tensor fused = qkv.forward(x);
  if (norm) {
    const auto [q, k, v] = split(fused);
    normalise(norm->query, q, saved != nullptr ? &saved->query_norm : nullptr);
    normalise(norm->key, k, saved != nullptr ? &saved->key_norm : nullptr);
  }
  rotate(fused, plan, false);
  return fused;
}

at::Tensor SelfAttention::attend(const at::Tensor& x, const AttentionPlan& plan, Saved* saved) const {
  const at::Tensor fused = project(x, plan, saved);
  const auto [q, k, v] = split(fused);
  const kernels::AttentionOptions options = with_dropout(plan, qkv.kernels());
  at::Tensor lse;
  at::Tensor attended = plan.disentangled() ? kernels::disentangled_attention(
                                                  {q, k, v, plan.position_keys, plan.position_queries}, plan.spans, options)
                                            : kernels::attention({q, k, v}, plan.spans, options, &lse);
  if (saved != nullptr) {
    saved->qkv = fused;
    saved->lse = lse;
  }
  return gather_rows(attended, plan.wanted);
}

at::Tensor SelfAttention::backward_heads(const at::Tensor& d, const AttentionPlan& plan, const Saved& saved) const {
  const at::Tensor d_attended = scatter_rows(out.backward_input(d), plan.wanted, saved.qkv.size(0));
  const auto [q, k, v] = split(saved.qkv);
  at::Tensor d_fused = at::empty_like(saved.qkv);
  const auto [dq, dk, dv] = split(d_fused);
  const kernels::AttentionOptions options = with_dropout(plan, qkv.kernels());
  if (plan.disentangled())
    kernels::disentangled_attention_backward(d_attended, {q, k, v, plan.position_keys, plan.position_queries}, plan.spans,
                                             options, {dq, dk, dv, {}});
  else
    kernels::attention_backward(d_attended, saved.lse, {q, k, v}, plan.spans, options, {dq, dk, dv, {}});
  rotate(d_fused, plan, true);
  if (norm) {
    normalise_backward(norm->query, dq, saved.query_norm);
    normalise_backward(norm->key, dk, saved.key_norm);
  }
  return d_fused;
}

at::Tensor SelfAttention::extend(const at::Tensor& x, const AttentionPlan& plan, SlotCache& cache, size_t layer,
                                 const at::Tensor& rows) const {
  const auto [q, k, v] = split(project(x, plan, nullptr));
  cache.store(layer, rows, k, v);
  const SlotCache::Layer& kept = cache.layers[layer];
  return gather_rows(kernels::attention({q, kept.k, kept.v}, plan.spans, options_of(plan, qkv.kernels()), nullptr), plan.wanted);
}

}  // namespace dept::nn
