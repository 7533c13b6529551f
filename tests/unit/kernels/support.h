// Plain padded-free references in fp64 through LibTorch's autograd, and a comparison by max|a-b| / max|b|.
#pragma once

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <vector>

#include "dept/base/error.h"
#include "dept/tensor/context.h"
#include "dept/tensor/ragged.h"

namespace dept::test {

inline double difference(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor wanted = b.detach().to(at::kDouble);
  return ((a.detach().to(at::kDouble) - wanted).abs().max() / wanted.abs().max().clamp_min(1e-30)).item<double>();
}

inline at::Tensor leaf(at::IntArrayRef shape) {
  return at::randn(shape, at::TensorOptions(at::kDouble)).requires_grad_();
}

inline Ragged ragged(const std::vector<int64_t>& lengths, const std::vector<int64_t>& prefix = {}) {
  Ragged tokens;
  for (size_t b = 0; b < lengths.size(); ++b)
    tokens.append(lengths[b], static_cast<int64_t>(b) + 7, 0, prefix.empty() ? -1 : prefix[b]);
  return tokens;
}

/// So many tokens, every other one of two sequences, without the others.
inline Ragged some_tokens(int64_t count) {
  std::vector<int64_t> tokens;
  for (int64_t i = 0; i < count; ++i) tokens.push_back(2 * i + 1);
  return ragged({count + 1, count}).some_tokens(tokens);
}

inline Call training_call(uint64_t seed = 42, uint32_t micro_step = 3) {
  Call call;
  call.training = true;
  call.seeds = {seed};
  call.micro_step = micro_step;
  return call;
}

}  // namespace dept::test
