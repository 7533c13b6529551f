#include <gtest/gtest.h>

#include "dept/base/json.h"
#include "dept/base/text.h"
#include "dept/tasks/detail.h"

namespace dept {
namespace {

void expect_near(const Json& got, const Json& expected, const std::string& where) {
  if (expected.is_number()) {
    EXPECT_NEAR(got.get<double>(), expected.get<double>(), 1e-12) << where;
    return;
  }
  ASSERT_EQ(got.size(), expected.size()) << where;
  if (expected.is_object())
    for (const auto& [key, value] : expected.items()) expect_near(got.at(key), value, str(where, ".", key));
  if (expected.is_array())
    for (size_t i = 0; i < expected.size(); ++i) expect_near(got[i], expected[i], str(where, "[", i, "]"));
}

TEST(DetailParity, EqualsScikitLearnAndNumpy) {
  const Json cases = read_json(DEPT_TEST_DATA "/parity/data/tasks/detail.json");
  ASSERT_GT(cases.size(), 20u);
  for (size_t c = 0; c < cases.size(); ++c) {
    const auto labels = cases[c].at("labels").get<std::vector<std::string>>();
    const auto predictions = cases[c].at("predictions").get<std::vector<std::string>>();
    const auto targets = cases[c].at("targets").get<std::vector<std::string>>();
    const auto scores = cases[c].at("scores").get<std::vector<std::vector<double>>>();
    std::vector<TextExample> texts(targets.size());
    for (size_t i = 0; i < texts.size(); ++i) texts[i].source = str("text ", i);
    const OrderedJson made = evaluation_detail("test", {texts, predictions, targets, scores, labels});
    const Json got = Json::parse(made.dump());
    EXPECT_EQ(got.at("split"), "test");
    EXPECT_EQ(got.at("examples"), targets.size());
    EXPECT_EQ(got.at("labels"), cases[c].at("labels"));
    for (const auto& [key, expected] : cases[c].at("expected").items())
      expect_near(got.at(key), expected, str(key, " of case ", c));
    EXPECT_EQ(got.contains("calibration"), !scores.empty());
    std::vector<int64_t> worst;
    for (const Json& one : got.at("worst")) {
      const auto i = one.at("index").get<size_t>();
      worst.push_back(static_cast<int64_t>(i));
      EXPECT_EQ(one, Json({{"index", i}, {"source", texts[i].source}, {"target", targets[i]}, {"prediction", predictions[i]}}));
    }
    EXPECT_EQ(worst, cases[c].at("worst").get<std::vector<int64_t>>()) << "case " << c;
  }
}

}  // namespace
}  // namespace dept
