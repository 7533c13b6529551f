#include <gtest/gtest.h>

#include <functional>

#include "dept/train/stack_width.h"

namespace dept {
namespace {

// The width that it comes to where a step of n runs takes cost(n) seconds for 100 tokens a run.
size_t settle(const std::function<double(size_t)>& cost, size_t runs = 1000) {
  StackWidth width(0);
  for (int step = 0; step < 100 && !width.settled(); ++step) {
    width.before_step();
    const size_t now = std::min(width.width(), runs);
    width.measured(now, {cost(now), 100.0 * static_cast<double>(now)});
  }
  return width.width();
}

TEST(StackWidth, WidensWhileAWiderPassCostsLess) {
  EXPECT_EQ(settle([](size_t n) { return static_cast<double>(n); }), 1u) << "a pass of two costs two";
  EXPECT_EQ(settle([](size_t n) { return 0.01 + 0.1 * static_cast<double>(n); }), 4u) << "4 gain too little for 8 to be tried";
  EXPECT_EQ(settle([](size_t n) { return n < 9 ? 1.0 : static_cast<double>(n); }), 8u);
  EXPECT_EQ(settle([](size_t n) { return n == 1 ? 1.0 : 1.5 * static_cast<double>(n); }), 1u);
  EXPECT_EQ(settle([](size_t n) { return n == 2   ? 2.0
                                         : n == 1 ? 1.0
                                                  : 0.5 * static_cast<double>(n); }), 4u)
      << "two that gain nothing do not hide that four do";
}

TEST(StackWidth, ANumberThatIsGivenStays) {
  StackWidth width(3);
  for (int step = 0; step < 20; ++step) width.measured(3, {1, 1});
  EXPECT_EQ(width.width(), 3u);
}

TEST(StackWidth, TooFewRunsTellNothingOfAWidth) {
  StackWidth width(0);
  for (int step = 0; step < 50; ++step) width.measured(1, {1, 1});
  EXPECT_EQ(width.width(), 2u);
  EXPECT_FALSE(width.settled());
}

}  // namespace
}  // namespace dept
