// Draws against Philox as its paper has it, with SciPy's distributions (tests/parity/make/sweep.py).
#include <gtest/gtest.h>

#include "dept/base/json.h"
#include "sweep/plan.h"

namespace dept {
namespace {

Axis range(Distribution distribution, const Json& json) {
  Axis axis;
  axis.distribution = distribution;
  axis.low = json.at("min"), axis.high = json.at("max");
  if (distribution == Distribution::int_uniform) axis.whole_low = json.at("min"), axis.whole_high = json.at("max");
  return axis;
}

TEST(DrawsParity, EqualThePaperAndSciPy) {
  const Json cases = read_json(DEPT_TEST_DATA "/parity/data/sweep/draws.json");
  ASSERT_GE(cases.size(), 50u);
  for (const Json& one : cases) {
    const auto drawn = [&](const Axis& axis) {
      return draw_value(axis, one.at("seed").get<uint64_t>(), one.at("draw").get<uint64_t>(), one.at("axis").get<uint32_t>())
          .text;
    };
    for (const auto& [name, distribution] :
         {std::pair{"uniform", Distribution::uniform}, {"log_uniform_values", Distribution::log_uniform_values}}) {
      const double expected = one.at(name).at("value");
      EXPECT_NEAR(std::stod(drawn(range(distribution, one.at(name)))), expected, 1e-14 * std::abs(expected) + 1e-15)
          << one.dump();
    }
    EXPECT_EQ(drawn(range(Distribution::int_uniform, one.at("int_uniform"))), one["int_uniform"]["value"].dump()) << one.dump();
    Axis list;
    for (int64_t i = 0; i < one.at("categorical").at("count"); ++i)
      list.values.push_back({OptionValue::Kind::plain, std::to_string(i), {}});
    EXPECT_EQ(drawn(list), one["categorical"]["place"].dump()) << one.dump();
  }
}

}  // namespace
}  // namespace dept
