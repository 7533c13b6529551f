#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include "dept/adapter/stack.h"
#include "dept/base/error.h"
#include "support/dept_adapter.h"

namespace dept {
namespace {

AdapterWeights filled(double value, int64_t rank = 2, bool head = false) {
  AdapterWeights weights = dept_alone({at::full({1, 3, 4}, value), at::full({1, 5, rank}, value), at::full({1, rank, 4}, value)});
  if (head) {
    weights.head.form = HeadForm::score;
    weights.head.out = at::full({1, 2, 4}, value);
  }
  return weights;
}

TEST(Stack, PartsBecomeViewsOfIt) {
  const AdapterWeights one = filled(1, 2, true), two = filled(2, 2, true), *parts[] = {&one, &two};
  const AdapterWeights stack = stack_weights(parts);
  ASSERT_EQ(stack.configs(), 2);
  ASSERT_EQ(stack.parameters().size(), 4u);
  const DeptWeights of_one = dept_weights(one), of_two = dept_weights(two), whole = dept_weights(stack);
  EXPECT_TRUE(at::equal(whole.A[0], at::full({5, 2}, 1.0)));
  EXPECT_TRUE(at::equal(whole.A[1], at::full({5, 2}, 2.0)));
  of_two.A.fill_(7);
  two.head.out.fill_(8);
  EXPECT_TRUE(at::equal(whole.A[0], at::full({5, 2}, 1.0)));
  EXPECT_TRUE(at::equal(whole.A[1], at::full({5, 2}, 7.0)));
  EXPECT_TRUE(at::equal(stack.head.out[1], at::full({2, 4}, 8.0)));
  // A part leaves: what is stacked anew no longer moves the old stack, and keeps its values.
  const AdapterWeights* rest[] = {&two};
  const AdapterWeights smaller = stack_weights(rest);
  of_two.A.fill_(9);
  EXPECT_TRUE(at::equal(dept_weights(smaller).A[0], at::full({5, 2}, 9.0)));
  EXPECT_TRUE(at::equal(whole.A[1], at::full({5, 2}, 7.0)));
  EXPECT_TRUE(at::equal(of_one.B, at::full({1, 2, 4}, 1.0)));
}

TEST(Stack, OtherFormsDoNotStack) {
  const AdapterWeights one = filled(1), wider = filled(1, 3), evaluated = filled(1, 2, true), *parts[] = {&one, &wider};
  EXPECT_TRUE(alike(one, filled(2)));
  EXPECT_FALSE(alike(one, wider));
  EXPECT_FALSE(alike(one, evaluated));
  EXPECT_FALSE(alike(one, {dept_adapter(dept_weights(one), 4), {}, {}})) << "another alpha";
  EXPECT_THROW(stack_weights(parts), Error);
}

}  // namespace
}  // namespace dept
