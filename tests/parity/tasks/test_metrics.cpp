#include <gtest/gtest.h>

#include "dept/base/json.h"
#include "dept/metrics.h"

namespace dept {
namespace {

TEST(MetricsParity, EqualScikitLearnAndScipy) {
  const Json cases = read_json(DEPT_TEST_DATA "/parity/data/tasks/metrics.json");
  ASSERT_GT(cases.size(), 20u);
  for (size_t i = 0; i < cases.size(); ++i) {
    const auto predictions = cases[i].at("predictions").get<std::vector<std::string>>();
    const auto targets = cases[i].at("targets").get<std::vector<std::string>>();
    const auto labels = cases[i].at("labels").get<std::vector<std::string>>();
    for (const auto& [name, expected] : cases[i].at("expected").items())
      EXPECT_NEAR(compute_metric(name, predictions, targets, labels), expected.get<double>(), 1e-9) << name << " of case " << i;
  }
}

}  // namespace
}  // namespace dept
