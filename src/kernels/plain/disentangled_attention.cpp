// Disentangled attention, one sequence after the other, by operators of ATen: the same on every device.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>

#include "kernels/check.h"
#include "kernels/operators.h"
#include "kernels/plain/philox.h"

namespace dept::kernels::plain {
namespace {

// x [H, L, 2L - 1], whose column stands for the distance other - own + L - 1 of row `own` -> a view [H, L, L] of it by own and
// other.
at::Tensor by_place(const at::Tensor& x) {
  const int64_t L = x.size(1), W = x.size(2);
  return x.as_strided({x.size(0), L, L}, {L * W, W - 1, 1}, L - 1);
}

// [H, L, L] by own and other -> the same at its distances, 0 elsewhere.
at::Tensor by_distance(const at::Tensor& x) {
  const int64_t L = x.size(1);
  at::Tensor wide = at::zeros({x.size(0), L, 2 * L - 1}, x.options());
  by_place(wide).copy_(x);
  return wide;
}

// One sequence of L tokens in the arithmetic type, heads first.
class Sequence {
 public:
  Sequence(const DisentangledInputs& in, const AttentionSpan& span, const AttentionOptions& options)
      : span_(span), options_(options), q_(heads_of(in.q)), k_(heads_of(in.k)), v_(heads_of(in.v)) {
    if (in.position_keys.defined()) position_keys_ = reach(in.position_keys);
    // By the distance from the key, which is the other way round.
    if (in.position_queries.defined()) position_queries_ = reach(in.position_queries).flip(1);
  }

  at::Tensor probabilities() const {
    at::Tensor s = at::matmul(q_, k_.transpose(1, 2));
    if (position_keys_.defined()) s = s + by_place(at::matmul(q_, position_keys_.transpose(1, 2)));
    if (position_queries_.defined()) s = s + by_place(at::matmul(k_, position_queries_.transpose(1, 2))).transpose(1, 2);
    return at::softmax(s * options_.scale, 2);
  }

  void attend(const at::Tensor& out) const { rows(out).copy_(at::matmul(mask()(probabilities()), v_).transpose(0, 1)); }

  void backward(const at::Tensor& d_out, const AttentionGradients& to) const {
    const at::Tensor d = heads_of(d_out), p = probabilities();
    const Mask kept = mask();
    const at::Tensor dp = kept(at::matmul(d, v_.transpose(1, 2)));
    const at::Tensor ds = p * (dp - (dp * p).sum(2, true)) * options_.scale, ds_of_keys = ds.transpose(1, 2);
    at::Tensor dq = at::matmul(ds, k_), dk = at::matmul(ds_of_keys, q_);
    if (position_keys_.defined()) dq = dq + at::matmul(by_distance(ds), position_keys_);
    if (position_queries_.defined()) dk = dk + at::matmul(by_distance(ds_of_keys), position_queries_);
    rows(to.q).copy_(dq.transpose(0, 1));
    rows(to.k).copy_(dk.transpose(0, 1));
    rows(to.v).copy_(at::matmul(kept(p).transpose(1, 2), d).transpose(0, 1));
  }

 private:
  at::Tensor rows(const at::Tensor& x) const { return x.narrow(0, span_.q_begin, span_.q_length); }
  at::Tensor heads_of(const at::Tensor& x) const { return rows(x).to(arithmetic_type(x.scalar_type())).transpose(0, 1); }
  // [H, 2R + 1, K] -> [H, 2L - 1, K]
  at::Tensor reach(const at::Tensor& table) const {
    const int64_t first = table.size(1) / 2 - (span_.q_length - 1);
    return table.narrow(1, first, 2 * span_.q_length - 1).to(arithmetic_type(table.scalar_type()));
  }
  Mask mask() const {
    if (options_.dropout <= 0) return {{}, 1};
    Upload upload;
    Streams streams;
    streams.from({options_.streams.at(span_.sequence)}, upload);
    upload.send(q_.device());
    const int64_t H = q_.size(0), L = span_.q_length;
    const at::Tensor first = at::arange(H * L, at::TensorOptions(at::kLong).device(q_.device())).view({H, L}) * L;
    const Streams views = streams.each([](const at::Tensor& x) { return x.view({1, 1, 1}); });
    return {numbers(first, L, views).ge(int64_t{dropout_threshold(options_.dropout)}), dropout_scale(options_.dropout)};
  }

  const AttentionSpan& span_;
  const AttentionOptions& options_;
  at::Tensor q_, k_, v_, position_keys_, position_queries_;
};

}  // namespace

at::Tensor disentangled_attention(const DisentangledInputs& in, const std::vector<AttentionSpan>& spans,
                                  const AttentionOptions& options) {
  at::Tensor out = at::zeros(in.q.sizes(), in.q.options());
  for (const AttentionSpan& span : spans) Sequence(in, span, options).attend(out);
  return out.flatten(1);
}

void disentangled_attention_backward(const at::Tensor& d_out, const DisentangledInputs& in,
                                     const std::vector<AttentionSpan>& spans, const AttentionOptions& options,
                                     const AttentionGradients& to) {
  const at::Tensor d = d_out.view(in.q.sizes());
  for (const AttentionSpan& span : spans) Sequence(in, span, options).backward(d, to);
}

}  // namespace dept::kernels::plain
