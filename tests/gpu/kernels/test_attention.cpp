// Attention of the .cu file beside plain attention in fp64, forward and backward: not much further from it than plain attention
// in bf16 is, and the same bytes each time.
#include <ATen/ops/isnan.h>
#include <gtest/gtest.h>

#include "gpu/kernels/attention_problem.h"

namespace dept::kernels::test {
namespace {

const AttentionCase cases[] = {
    {.name = "Encoder", .lengths = {5, 66, 1}, .bias = true, .dropout = 0.2},
    {.name = "Decoder", .lengths = {65, 3}, .causal = true, .bias = true, .dropout = 0.2},
    {.name = "WithoutDropout", .lengths = {64, 2}, .bias = true},
    {.name = "SharedPrompt", .lengths = {7, 5, 1, 9}, .prefix = {-1, 0, 0, 0}, .heads = 4, .kv_heads = 2, .causal = true},
    {.name = "LongPrompt", .lengths = {70, 3, 4}, .prefix = {-1, 0, 0}, .causal = true, .dropout = 0.2},
    {.name = "WideHeads", .lengths = {67, 4}, .heads = 2, .kv_heads = 1, .K = 128, .causal = true, .dropout = 0.2},
};

class CudaAttention : public testing::TestWithParam<AttentionCase> {};
INSTANTIATE_TEST_SUITE_P(Cases, CudaAttention, testing::ValuesIn(cases), [](const auto& test) { return test.param.name; });

TEST_P(CudaAttention, IsAsNearToFp64AsPlainAttention) {
  const AttentionProblem problem(GetParam());
  const std::vector<at::Tensor> exact = problem.by_plain(at::kDouble), plain = problem.by_plain(at::kBFloat16);
  std::vector<at::Tensor> first;
  for (const Ahead ahead : orders) {
    run_in(ahead);
    const std::vector<at::Tensor> found = problem.by_cuda();
    for (size_t i = 0; i < found.size(); ++i) {
      EXPECT_EQ(found[i].scalar_type(), plain[i].scalar_type()) << i;
      EXPECT_LT(distance(found[i], exact[i]), 3 * distance(plain[i], exact[i]) + 1e-6) << i;
      EXPECT_LT(distance(found[i], exact[i]), 6e-3) << i;
      EXPECT_TRUE(first.empty() || found[i].equal(first[i])) << i << ": another order of warps, other bytes";
    }
    first = found;
  }
  if (place == at::kCPU) return;  // in both orders above
  const std::vector<at::Tensor> again = problem.by_cuda();
  for (size_t i = 0; i < again.size(); ++i) EXPECT_TRUE(again[i].equal(first[i])) << i;
}

TEST(CudaAttention, QueriesThatNoSpanNamesAreZero) {
  run_in(orders.front());
  AttentionProblem problem(cases[0]);
  problem.spans.erase(problem.spans.begin());  // rows 0 to 4
  const std::vector<at::Tensor> exact = problem.by_plain(at::kDouble), found = problem.by_cuda();
  for (const int64_t i : {0, 2}) EXPECT_EQ(found[i].slice(0, 0, 5).abs().max().item<double>(), 0) << i;
  for (const int64_t i : {3, 4}) EXPECT_TRUE(at::isnan(found[i].slice(0, 0, 5)).all().item<bool>()) << "a key is not written";
  EXPECT_LT(distance(found[0], exact[0]), 6e-3);
}

}  // namespace
}  // namespace dept::kernels::test
