#include <ATen/TensorOperators.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty_like.h>

#include "dept/nn/modules.h"
#include "nn/attention_options.h"

namespace dept::nn {
namespace {

// x [N, H * A] times a matrix [A, B] of each head [H, A, B] -> [N, H * B]
at::Tensor by_head(const at::Tensor& x, const at::Tensor& matrices) {
  const at::Tensor heads = x.view({x.size(0), matrices.size(0), matrices.size(1)}).transpose(0, 1);
  return at::bmm(heads, matrices).transpose(0, 1).reshape({x.size(0), -1});
}

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

// W_K or W_V as [H, K, D]
at::Tensor CrossAttention::head_weights(bool values) const {
  return kv.weight().view({2, heads, head_dim, kv.in()}).select(0, values ? 1 : 0);
}

at::Tensor CrossAttention::attend(const at::Tensor& x, const Memory& memory, const AttentionPlan& plan, Saved* saved) const {
  Saved kept{memory, {}, {}};
  const at::Tensor attended =
      memory.kv.defined() ? forward_projected(q.forward(x), plan, kept) : forward_absorbed(q.forward(x), plan, kept);
  if (saved != nullptr) *saved = std::move(kept);
  return attended;
}

at::Tensor CrossAttention::backward(const at::Tensor& d, const AttentionPlan& plan, const Saved& saved,
                                    at::Tensor& d_memory) const {
  const at::Tensor d_attended = out.backward_input(d);
  return q.backward_input(saved.memory.kv.defined() ? backward_projected(d_attended, plan, saved, d_memory)
                                                    : backward_absorbed(d_attended, plan, saved, d_memory));
}

at::Tensor CrossAttention::forward_projected(const at::Tensor& queries, const AttentionPlan& plan, Saved& saved) const {
  const auto [k, v] = KeysAndValues(saved.memory.kv, heads, head_dim);
  saved.q = queries;
  return kernels::attention(queries.view({-1, heads, head_dim}), k, v, plan.spans, with_dropout(plan), &saved.lse);
}

at::Tensor CrossAttention::backward_projected(const at::Tensor& d, const AttentionPlan& plan, const Saved& saved,
                                              at::Tensor& d_memory) const {
  const auto [k, v] = KeysAndValues(saved.memory.kv, heads, head_dim);
  at::Tensor dq = at::empty_like(saved.q), d_kv = at::empty_like(saved.memory.kv);
  at::Tensor dq_heads = dq.view({-1, heads, head_dim});
  auto [dk, dv] = KeysAndValues(d_kv, heads, head_dim);
  kernels::attention_backward(d, saved.q.view({-1, heads, head_dim}), k, v, saved.lse, plan.spans, with_dropout(plan), dq_heads,
                              dk, dv);
  d_memory += kv.backward_input(d_kv);
  return dq;
}

// One "key" and "value" head of width D, the memory itself, shared by all query heads.
at::Tensor CrossAttention::forward_absorbed(const at::Tensor& queries, const AttentionPlan& plan, Saved& saved) const {
  const int64_t D = kv.in();
  const at::Tensor x = saved.memory.hidden.view({-1, 1, D});
  saved.q = by_head(queries, head_weights(false));
  return by_head(kernels::attention(saved.q.view({-1, heads, D}), x, x, plan.spans, with_dropout(plan), &saved.lse),
                 head_weights(true).transpose(1, 2));
}

at::Tensor CrossAttention::backward_absorbed(const at::Tensor& d, const AttentionPlan& plan, const Saved& saved,
                                             at::Tensor& d_memory) const {
  const int64_t D = kv.in();
  const at::Tensor x = saved.memory.hidden.view({-1, 1, D});
  at::Tensor dq = at::empty_like(saved.q), d_keys = at::empty_like(x), d_values = at::empty_like(x);
  at::Tensor dq_heads = dq.view({-1, heads, D});
  kernels::attention_backward(by_head(d, head_weights(true)), saved.q.view({-1, heads, D}), x, x, saved.lse, plan.spans,
                              with_dropout(plan), dq_heads, d_keys, d_values);
  d_memory += d_keys.squeeze(1);
  d_memory += d_values.squeeze(1);
  return by_head(dq, head_weights(false).transpose(1, 2));
}

}  // namespace dept::nn
