#include <gtest/gtest.h>

#include "dept/base/error.h"
#include "dept/metrics.h"

namespace dept {
namespace {

using Strings = std::vector<std::string>;

Code code_of(const std::string& name, const Strings& predictions, const Strings& targets, const Strings& labels) {
  try {
    compute_metric(name, predictions, targets, labels);
  } catch (const Error& error) {
    return error.code();
  }
  return Code{};
}

TEST(Metrics, ByHand) {
  const Strings labels{"no", "yes"};
  EXPECT_DOUBLE_EQ(compute_metric("accuracy", Strings{"yes", "no", "no", "?"}, Strings{"yes", "no", "yes", "no"}, labels), 50);
  // hits 1; predicted yes: the first and "?" (whose target is no); actual: 2
  EXPECT_DOUBLE_EQ(compute_metric("f1", Strings{"yes", "no", "no", "?"}, Strings{"yes", "no", "yes", "no"}, labels), 50);
  EXPECT_DOUBLE_EQ(compute_metric("f1", Strings{"no"}, Strings{"no"}, labels), 0);
  EXPECT_DOUBLE_EQ(compute_metric("exact_match", Strings{" a b "}, Strings{"a b"}, {}), 100);
  EXPECT_DOUBLE_EQ(compute_metric("accuracy", Strings{" a b "}, Strings{"a b"}, {}), 0);
  EXPECT_DOUBLE_EQ(compute_metric("pearson", Strings{"1", "2", "3"}, Strings{"3", "2", "1"}, {}), -100);
  EXPECT_DOUBLE_EQ(compute_metric("spearmanr", Strings{"1", "2", "300"}, Strings{"1", "5", "6"}, {}), 100);
  EXPECT_DOUBLE_EQ(compute_metric("pearson", Strings{"nan", "inf", "x"}, Strings{"1", "2", "3"}, {}), 0);
}

TEST(Metrics, Refusals) {
  EXPECT_EQ(code_of("bleu", {"a"}, {"a"}, {}), Code::usage);
  EXPECT_EQ(code_of("f1", {"a"}, {"a"}, {"a", "b", "c"}), Code::usage);
  EXPECT_EQ(code_of("accuracy", {}, {}, {}), Code::bad_input);
  EXPECT_EQ(code_of("accuracy", {"a"}, {}, {}), Code::bug);
}

}  // namespace
}  // namespace dept
