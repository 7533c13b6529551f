// Attention over the views of one fused product, as a model makes them, beside fp64.
#pragma once

#include <ATen/ops/full.h>

#include <cmath>
#include <string>
#include <vector>

#include "gpu/kernels/place.h"
#include "kernels/operators.h"
#include "unit/kernels/support.h"

namespace dept::kernels::test {

struct AttentionCase {
  const char* name;
  std::vector<int64_t> lengths, prefix = {};
  int64_t heads = 2, kv_heads = 2, K = 64;
  bool causal = false, bias = false;
  double dropout = 0;
};

inline double distance(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a.cpu().to(at::kDouble), y = b.cpu().to(at::kDouble);
  return (x - y).norm().item<double>() / y.norm().item<double>();
}

struct AttentionProblem {
  Ragged tokens;
  int64_t heads, kv_heads, K;
  std::vector<AttentionSpan> spans;
  AttentionOptions options;
  at::Tensor fused, d_out;

  explicit AttentionProblem(const AttentionCase& c)
      : tokens(dept::test::ragged(c.lengths, c.prefix)), heads(c.heads), kv_heads(c.kv_heads), K(c.K) {
    at::manual_seed(12);
    spans = self_attention_spans(tokens);
    options.scale = 1 / std::sqrt(static_cast<double>(K));
    options.causal = c.causal;
    options.dropout = c.dropout;
    for (int64_t b = 0; c.dropout > 0 && b < tokens.batch(); ++b)
      options.streams.emplace_back(0xABCDEF0123456789, 5, tokens.example[b], 2, Site::self_attention_probabilities);
    if (c.bias) options.relative_bias = at::randn({heads, 2 * tokens.max_length() + 1});
    fused = at::randn({tokens.tokens(), heads + 2 * kv_heads, K}).to(at::kBFloat16);
    d_out = at::randn({tokens.tokens(), heads * K}).to(at::kBFloat16);
  }

  struct Views {
    at::Tensor q, k, v;
  };
  Views split(const at::Tensor& x) const {
    return {x.slice(1, 0, heads), x.slice(1, heads, heads + kv_heads), x.slice(1, heads + kv_heads)};
  }

  /// What `forward` and `backward` make of it in `dtype` on a device: out, lse and the gradients of q, k and v, which begin as
  /// NaN.
  template <class Forward, class Backward>
  std::vector<at::Tensor> solve(at::ScalarType dtype, at::Device device, Forward&& forward, Backward&& backward) const {
    AttentionOptions o = options;
    if (o.relative_bias.defined()) o.relative_bias = o.relative_bias.to(device, dtype == at::kDouble ? at::kDouble : at::kFloat);
    const at::Tensor x = fused.to(device, dtype);
    const auto [q, k, v] = split(x);
    const AttentionInputs in(q, k, v);
    at::Tensor lse, d = at::full(x.sizes(), NAN, x.options());
    const at::Tensor out = forward(in, spans, o, &lse);
    const auto [dq, dk, dv] = split(d);
    backward(d_out.to(device, dtype), lse, in, spans, o, AttentionGradients{dq, dk, dv, {}});
    return {out, lse, dq, dk, dv};
  }
  std::vector<at::Tensor> by_plain(at::ScalarType dtype) const {
    return solve(dtype, at::kCPU, plain::attention, plain::attention_backward);
  }
  std::vector<at::Tensor> by_cuda() const { return solve(at::kBFloat16, place, cuda::attention, cuda::attention_backward); }
};

}  // namespace dept::kernels::test
