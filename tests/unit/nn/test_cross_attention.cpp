// The two orders of cross-attention's products are one function: same results, same gradients, same dropout.
#include <ATen/TensorOperators.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>

#include "dept/nn/modules.h"
#include "unit/kernels/support.h"

namespace dept::nn {
namespace {

constexpr int64_t heads = 3;

struct Size {
  int64_t head_dim, width;
};

Ragged batch_of(std::initializer_list<int64_t> lengths) {
  Ragged tokens;
  for (const int64_t length : lengths) tokens.append(length, tokens.batch() + 5);
  return tokens;
}

CrossAttention random_layer(Size size, at::ScalarType dtype) {
  const auto [head_dim, width] = size;
  const auto weight = [&](int64_t out, int64_t in, double scale = 1) {
    return kernels::FrozenLinear((at::randn({out, in}, at::kDouble) * scale / std::sqrt(in)).to(dtype));
  };
  return {weight(heads * head_dim, width, 1 / std::sqrt(head_dim)), weight(2 * heads * head_dim, width),
          weight(width, heads * head_dim), heads, head_dim};
}

struct Result {
  at::Tensor y, dx, d_memory;
};

Result run(const CrossAttention& layer, const at::Tensor& x, const at::Tensor& memory, const Ragged& keys, const at::Tensor& dy,
           const AttentionPlan& plan, bool absorbed) {
  CrossAttention::Saved saved;
  Result result;
  const auto own = layer.own_memory(layer.shared_memory(memory, keys, absorbed));
  result.y = layer.out.forward(layer.attend(x, own, plan, &saved));
  EXPECT_EQ(saved.memory.kv.defined(), !absorbed);
  result.d_memory = at::zeros(memory.sizes(), memory.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
  result.dx = layer.backward(dy, plan, saved, result.d_memory);
  return result;
}

void expect_absorbed_equals_projected(Size size) {
  const int64_t width = size.width;
  at::manual_seed(1);
  const Ragged queries = batch_of({2, 1, 3}), keys = batch_of({5, 1, 9});
  const at::Tensor x = at::randn({6, width}, at::kDouble), memory = at::randn({15, width}, at::kDouble),
                   dy = at::randn({6, width}, at::kDouble);
  for (const double p : {0.0, 0.3}) {
    Call call;
    call.training = true;
    AttentionPlan plan;
    plan.spans = kernels::cross_attention_spans(queries, keys);
    plan.dropout = kernels::Dropout(call, queries, p, 2, Site::cross_attention_probabilities);
    for (const auto& [dtype, tolerance] : {std::pair{at::kDouble, 1e-12}, {at::kFloat, 5e-6}, {at::kBFloat16, 6e-2}}) {
      at::manual_seed(2);
      const CrossAttention layer = random_layer(size, dtype);
      const Result projected = run(layer, x.to(dtype), memory.to(dtype), keys, dy.to(dtype), plan, false);
      const Result absorbed = run(layer, x.to(dtype), memory.to(dtype), keys, dy.to(dtype), plan, true);
      EXPECT_LT(test::difference(absorbed.y, projected.y), tolerance) << dtype;
      EXPECT_LT(test::difference(absorbed.dx, projected.dx), tolerance) << dtype;
      EXPECT_LT(test::difference(absorbed.d_memory, projected.d_memory), tolerance) << dtype;
    }
  }
}

TEST(CrossAttention, AbsorbedEqualsProjected) {
  expect_absorbed_equals_projected({8, 10});
}
TEST(CrossAttention, AbsorbedEqualsProjectedWherePacked) {
  expect_absorbed_equals_projected({32, 64});
}

TEST(CrossAttention, ShortTargetsAreAbsorbed) {
  CrossAttention layer;
  layer.head_dim = 64;
  EXPECT_TRUE(layer.absorbs(2));
  EXPECT_FALSE(layer.absorbs(64));
}

}  // namespace
}  // namespace dept::nn
