#include <gtest/gtest.h>

#include "dept/base/json.h"
#include "dept/data/splits.h"

namespace dept {
namespace {

using Order = std::vector<int64_t>;

TEST(NumpyPermutation, EqualsDefaultRng) {
  const Json golden = read_json(DEPT_TEST_DATA "/parity/data/data/splits.json");
  ASSERT_GT(golden["permutation"].size(), 30u);
  for (const Json& one : golden["permutation"]) {
    const Order order = numpy_permutation(one["n"].get<int64_t>(), one["seed"].get<uint64_t>());
    if (one.contains("order")) {
      EXPECT_EQ(order, one["order"].get<Order>()) << one["seed"];
      continue;
    }
    int64_t sum = 0;
    for (size_t i = 0; i < order.size(); ++i) sum += static_cast<int64_t>(i + 1) * order[i];
    EXPECT_EQ(sum, one["sum"].get<int64_t>()) << one["n"] << " " << one["seed"];
    EXPECT_EQ(Order(order.begin(), order.begin() + 6), one["first"].get<Order>());
    EXPECT_EQ(Order(order.end() - 6, order.end()), one["last"].get<Order>());
  }
}

// make/shares.py
TEST(ChooseShare, EqualsNumPys) {
  const Json golden = read_json(DEPT_TEST_DATA "/parity/data/data/shares.json");
  ASSERT_GT(golden.size(), 70u);
  for (const Json& one : golden)
    EXPECT_EQ(choose_share(one["classes"].get<Order>(), one["share"].get<double>(), one["seed"].get<uint64_t>()),
              one["chosen"].get<std::vector<size_t>>())
        << one["share"];
}

}  // namespace
}  // namespace dept
