// Two faults made on purpose in attention.cu (tests/CMakeLists.txt), which its tests see.
#include <gtest/gtest.h>

#include "gpu/kernels/attention_problem.h"

namespace dept::kernels::cuda {

#define DEPT_FAULTY_ATTENTION(name)                                                                                         \
  namespace name {                                                                                                          \
  at::Tensor attention(const AttentionInputs& in, const std::vector<AttentionSpan>& spans, const AttentionOptions& options, \
                       at::Tensor* lse);                                                                                    \
  }
DEPT_FAULTY_ATTENTION(without_barrier)
DEPT_FAULTY_ATTENTION(off_by_one)
#undef DEPT_FAULTY_ATTENTION

namespace {

// The larger distance from fp64 in the two orders of warps, or what is no number.
double worst(decltype(attention)* attend) {
  const test::AttentionProblem problem({.name = "Encoder", .lengths = {5, 66, 1}, .bias = true, .dropout = 0.2});
  const auto no_backward = [](auto&&...) {};
  const at::Tensor exact = problem.solve(at::kDouble, at::kCPU, plain::attention, no_backward)[0];
  double most = 0;
  for (const test::Ahead ahead : test::orders) {
    test::run_in(ahead);
    const double one = test::distance(problem.solve(at::kBFloat16, at::kCPU, attend, no_backward)[0], exact);
    if (!(one <= most)) most = one;
  }
  return most;
}

TEST(Faults, AMissingBarrierAndAnIndexOffByOneAreSeen) {
  EXPECT_LT(worst(attention), 6e-3);
  EXPECT_FALSE(worst(without_barrier::attention) < 2e-2);
  EXPECT_FALSE(worst(off_by_one::attention) < 2e-2);
}

}  // namespace
}  // namespace dept::kernels::cuda
