#include <ATen/TensorOperators.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>

#include "dept/nn/modules.h"
#include "nn/attention_options.h"

namespace dept::nn {
namespace {

// Keys and values in one [Ns, 2 H K] as [Ns, H, K] each.
struct KeysAndValues {
  at::Tensor k, v;
  KeysAndValues(const at::Tensor& kv, int64_t heads, int64_t head_dim) {
    const at::Tensor both = kv.view({kv.size(0), 2 * heads, head_dim});
    k = both.slice(1, 0, heads);
    v = both.slice(1, heads, 2 * heads);
  }
};

}  // namespace

CrossAttention::Memory CrossAttention::shared_memory(const at::Tensor& hidden, const Ragged& tokens, bool absorbed) const {
  if (!absorbed) return {hidden, nullptr};
  return {hidden, std::make_shared<kernels::AttentionMemory>(kernels::attention_memory(hidden, tokens, kv.kernels()))};
}

CrossAttention::Memory CrossAttention::own_memory(const Memory& shared) const {
  if (shared.absorbed) return shared;
  return {shared.hidden, nullptr, kv.forward(shared.hidden)};
}

at::Tensor CrossAttention::attend(const at::Tensor& x, const Memory& memory, const AttentionPlan& plan, Saved* saved) const {
  Saved kept{memory, {}, {}};
  const at::Tensor attended =
      memory.absorbed ? forward_absorbed(q.forward(x), plan, kept) : forward_projected(q.forward(x), plan, kept);
  if (saved != nullptr) *saved = std::move(kept);
  return attended;
}

at::Tensor CrossAttention::backward_queries(const at::Tensor& d, const AttentionPlan& plan, const Saved& saved,
                                            at::Tensor& d_memory) const {
  const at::Tensor d_attended = out.backward_input(d);
  return saved.memory.absorbed ? backward_absorbed(d_attended, plan, saved, d_memory)
                               : backward_projected(d_attended, plan, saved, d_memory);
}

at::Tensor CrossAttention::forward_projected(const at::Tensor& queries, const AttentionPlan& plan, Saved& saved) const {
  const auto [k, v] = KeysAndValues(saved.memory.kv, heads, head_dim);
  saved.q = queries;
  return kernels::attention({queries.view({-1, heads, head_dim}), k, v}, plan.spans, with_dropout(plan, kv.kernels()),
                            &saved.lse);
}

at::Tensor CrossAttention::backward_projected(const at::Tensor& d, const AttentionPlan& plan, const Saved& saved,
                                              at::Tensor& d_memory) const {
  const auto [k, v] = KeysAndValues(saved.memory.kv, heads, head_dim);
  // d_kv: zeros, as keys of a sequence without queries stand in no span.
  at::Tensor dq = at::empty_like(saved.q), d_kv = at::zeros_like(saved.memory.kv);
  const auto [dk, dv] = KeysAndValues(d_kv, heads, head_dim);
  kernels::attention_backward(d, saved.lse, {saved.q.view({-1, heads, head_dim}), k, v}, plan.spans,
                              with_dropout(plan, kv.kernels()), {dq.view({-1, heads, head_dim}), dk, dv, {}});
  d_memory += kv.backward_input(d_kv);
  return dq;
}

// One "key" and "value" head of width D, the memory itself, shared by all query heads.
at::Tensor CrossAttention::forward_absorbed(const at::Tensor& queries, const AttentionPlan& plan, Saved& saved) const {
  saved.q = kv.backward_heads(queries, key_rows());
  return kv.forward_heads(kernels::attention({saved.q.view({-1, heads, kv.in()}), *saved.memory.absorbed}, plan.spans,
                                             with_dropout(plan, kv.kernels()), &saved.lse),
                          value_rows());
}

at::Tensor CrossAttention::backward_absorbed(const at::Tensor& d, const AttentionPlan& plan, const Saved& saved,
                                             at::Tensor& d_memory) const {
  const int64_t D = kv.in();
  const at::Tensor dq = at::empty_like(saved.q);
  kernels::attention_backward(kv.backward_heads(d, value_rows()), saved.lse,
                              {saved.q.view({-1, heads, D}), *saved.memory.absorbed}, plan.spans,
                              with_dropout(plan, kv.kernels()), {dq.view({-1, heads, D}), {}, {}, d_memory});
  return kv.forward_heads(dq, key_rows());
}

}  // namespace dept::nn
