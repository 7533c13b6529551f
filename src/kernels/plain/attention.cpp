// Ragged attention by padded products: the reference on every device.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tanh.h>

#include <cmath>

#include "kernels/check.h"
#include "kernels/operators.h"
#include "kernels/plain/padded.h"

namespace dept::kernels::plain {
namespace {

// The padded forms of one call, in the arithmetic type: L queries, M keys.
class Products {
 public:
  Products(const AttentionInputs& in, const std::vector<AttentionSpan>& spans, const AttentionOptions& options)
      : in_(in), options_(options), padded_(in, spans, options) {}

  // [Nq, H, *] -> [S, H, L, *]
  at::Tensor pad_queries(const at::Tensor& x) const { return pad(x, padded_.q_rows, padded_.queries); }
  // [Nk, Hkv, K] -> [S, H, M, K]
  at::Tensor pad_keys(const at::Tensor& x) const {
    const at::Tensor heads = pad(x, padded_.k_rows, padded_.keys);
    return group() == 1 ? heads : heads.repeat_interleave(group(), 1);
  }
  // [S, H, L, *] -> [Nq, H, *]
  at::Tensor unpad_queries(const at::Tensor& x) const { return rows_or_zero(x.transpose(1, 2).flatten(0, 1), padded_.q_places); }
  // [S, H, M, K] -> [Nk, Hkv, K]: sums over the query heads of a group and over the spans that a row stands in.
  at::Tensor unpad_keys(const at::Tensor& x) const {
    return padded_.key_sums(x.unflatten(1, {in_.k.size(1), group()}).sum(2).transpose(1, 2).flatten(0, 1));
  }

  // cap(scale q k^T) + bias, -inf where a key is not seen: [S, H, L, M]; slope (not null): d score / d (q k^T).
  at::Tensor scores(const at::Tensor& q, const at::Tensor& k, at::Tensor* slope = nullptr) const {
    at::Tensor s = at::matmul(q, k.transpose(2, 3)) * options_.scale, steepness;
    if (options_.score_cap > 0) {
      const at::Tensor share = at::tanh(s / options_.score_cap);
      s = share * options_.score_cap;
      steepness = (1 - share * share) * options_.scale;
    }
    if (slope != nullptr) *slope = steepness;
    if (options_.relative_bias.defined()) s = s + bias();
    const at::Tensor key = range(padded_.keys);
    s = s.masked_fill(key.ge(of_queries(padded_.end_visible)), -INFINITY);
    return options_.window > 0 ? s.masked_fill(key.lt(of_queries(padded_.first_visible)), -INFINITY) : s;
  }
  // The gradient of q k^T from that of the scores.
  at::Tensor through(const at::Tensor& d_scores, const at::Tensor& slope) const {
    return slope.defined() ? d_scores * slope : d_scores * options_.scale;
  }

  // What dropout does to the probabilities [S, H, L, M].
  Mask mask() const {
    if (options_.dropout <= 0) return {{}, 1};
    const at::Tensor head = range(in_.q.size(1)).view({1, -1, 1}), query = range(padded_.queries);
    const at::Tensor first = (head * padded_.q_length.view({-1, 1, 1}) + query) * padded_.k_length.view({-1, 1, 1});
    const Streams streams = padded_.streams.each([](const at::Tensor& x) { return x.view({-1, 1, 1, 1}); });
    return {numbers(first, padded_.keys, streams).ge(int64_t{dropout_threshold(options_.dropout)}),
            dropout_scale(options_.dropout)};
  }

 private:
  int64_t group() const { return in_.q.size(1) / in_.k.size(1); }
  at::Tensor range(int64_t count) const { return at::arange(count, padded_.q_rows.options()); }
  at::Tensor of_queries(const at::Tensor& x) const { return x.view({padded_.spans, 1, padded_.queries, 1}); }

  at::Tensor pad(const at::Tensor& x, const at::Tensor& rows, int64_t length) const {
    const at::Tensor wide = x.to(arithmetic_type(x.scalar_type()));
    return rows_or_zero(wide, rows).unflatten(0, {padded_.spans, length}).transpose(1, 2);
  }
  // [S, H, L, M]
  at::Tensor bias() const {
    const int64_t width = options_.relative_bias.size(1);
    const at::Tensor distance = range(padded_.keys) - padded_.position.unsqueeze(1) + width / 2;
    const at::Tensor chosen = options_.relative_bias.index_select(1, distance.clamp(0, width - 1).flatten());
    const at::Tensor all = chosen.view({-1, padded_.spans, padded_.queries, padded_.keys}).transpose(0, 1);
    return padded_.unbiased.defined() ? all.masked_fill(without_bias(), 0) : all;
  }
  // Whether a pair gets no bias, [S, 1, L, M].
  at::Tensor without_bias() const {
    const auto of_spans = [](const at::Tensor& x) { return x.view({-1, 1, 1, 1}); };
    const at::Tensor query = range(padded_.queries).view({1, 1, -1, 1}).ge(of_spans(padded_.q_length - padded_.unbiased));
    return query.logical_or(range(padded_.keys).ge(of_spans(padded_.k_length - padded_.unbiased)));
  }

  const AttentionInputs& in_;
  const AttentionOptions& options_;
  Padded padded_;
};

}  // namespace

at::Tensor attention(const AttentionInputs& in, const std::vector<AttentionSpan>& spans, const AttentionOptions& options,
                     at::Tensor* lse) {
  const Products products(in, spans, options);
  const at::Tensor s = products.scores(products.pad_queries(in.q), products.pad_keys(in.k));
  const at::Tensor p = products.mask()(at::softmax(s, 3));
  if (lse != nullptr) *lse = products.unpad_queries(at::logsumexp(s, {3}, true)).squeeze(2).t().contiguous();
  return products.unpad_queries(at::matmul(p, products.pad_keys(in.v))).flatten(1).to(in.q.scalar_type());
}

// The probabilities are made anew: padding, too, has some, and no log-sum-exp.
void attention_backward(const at::Tensor& d_out, const at::Tensor&, const AttentionInputs& in,
                        const std::vector<AttentionSpan>& spans, const AttentionOptions& options, const AttentionGradients& to) {
  const Products products(in, spans, options);
  const at::Tensor q = products.pad_queries(in.q), k = products.pad_keys(in.k),
                   d = products.pad_queries(d_out.view(in.q.sizes()));
  at::Tensor slope;
  const at::Tensor p = at::softmax(products.scores(q, k, &slope), 3);
  const Mask mask = products.mask();
  const at::Tensor dp = mask(at::matmul(d, products.pad_keys(in.v).transpose(2, 3)));
  const at::Tensor ds = products.through(p * (dp - (dp * p).sum(3, true)), slope);
  const at::Tensor dk = products.unpad_keys(at::matmul(ds.transpose(2, 3), q));
  const at::Tensor dv = products.unpad_keys(at::matmul(mask(p).transpose(2, 3), d));
  to.q.copy_(products.unpad_queries(at::matmul(ds, k)));
  if (in.memory != nullptr) {
    to.memory.add_(dk.squeeze(1)).add_(dv.squeeze(1));
  } else {
    to.k.copy_(dk);
    to.v.copy_(dv);
  }
}

}  // namespace dept::kernels::plain
