#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "dept/kernels/row_sums.h"

namespace dept {
namespace {

std::vector<int64_t> some_rows(int64_t count, int64_t rows) {
  std::vector<int64_t> to;
  for (int64_t i = 0; i < count; ++i) to.push_back(i * i % (rows + 1) - 1);  // -1 among them
  return to;
}

// Two ranks that add up their parts come to what one process adds up, in every bit that fp32 has.
TEST(RowSums, WidePartsAddUpToTheWhole) {
  constexpr int64_t count = 500, rows = 7, first = 190;
  const at::Tensor x = at::randn({count, 3, 41});
  const std::vector<int64_t> to = some_rows(count, rows);
  for (const Kernels kernels : {Kernels::own, Kernels::plain}) {
    const at::Tensor whole = kernels::wide_row_sums(x, to, rows, kernels);
    ASSERT_EQ(whole.scalar_type(), at::kDouble);
    const at::Tensor one = kernels::wide_row_sums(x.narrow(0, 0, first), {to.begin(), to.begin() + first}, rows, kernels);
    const at::Tensor other =
        kernels::wide_row_sums(x.narrow(0, first, count - first), {to.begin() + first, to.end()}, rows, kernels);
    EXPECT_TRUE(at::equal((one + other).to(at::kFloat), whole.to(at::kFloat)));
    EXPECT_LE((whole - kernels::row_sums(x.to(at::kDouble), to, rows, kernels)).abs().max().item<double>(), 1e-12);
  }
}

TEST(RowSums, WideOfNothingAreZeros) {
  EXPECT_TRUE(at::equal(kernels::wide_row_sums(at::zeros({0, 4}), {}, 2), at::zeros({2, 4}, at::kDouble)));
  EXPECT_TRUE(at::equal(kernels::wide_row_sums(at::randn({3, 4}), {-1, -1, -1}, 2), at::zeros({2, 4}, at::kDouble)));
  EXPECT_EQ(kernels::wide_row_sums(at::randn({2, 4}, at::kDouble), {0, 0}, 1).scalar_type(), at::kDouble);
}

}  // namespace
}  // namespace dept
