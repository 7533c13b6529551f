#include <gmock/gmock.h>

#include <set>

#include "sweep/plan.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

using ::testing::ElementsAre;
using Kind = OptionValue::Kind;

Axis listed(const std::string& option, const std::vector<std::string>& texts) {
  Axis axis;
  axis.option = option;
  for (const std::string& text : texts) axis.values.push_back({Kind::plain, text, {}});
  return axis;
}

Axis rates() {
  Axis axis;
  axis.option = "learning_rate";
  axis.distribution = Distribution::log_uniform_values;
  axis.low = 1e-3, axis.high = 1;
  return axis;
}

std::vector<std::string> names(const std::vector<PlannedRun>& runs) {
  std::vector<std::string> all;
  for (const PlannedRun& run : runs) all.push_back(run.name);
  return all;
}

TEST(Plan, AGridIsNestedLoops) {
  SweepSpec spec;
  spec.axes = {listed("task_name", {"cola", "mrpc"}), listed("learning_rate", {"0.3", "1e-4"}), listed("seed", {"1", "2"})};
  spec.repeat = {"seed"};
  const auto runs = plan_runs(spec);
  EXPECT_THAT(names(runs), ElementsAre("cola_0.3_1", "cola_0.3_2", "cola_1e-4_1", "cola_1e-4_2", "mrpc_0.3_1", "mrpc_0.3_2",
                                       "mrpc_1e-4_1", "mrpc_1e-4_2"));
  EXPECT_EQ(runs[3].task, "cola");
  EXPECT_EQ(runs[2].row, runs[3].row);
  EXPECT_EQ(runs[2].row, "cola_1e-4");
  EXPECT_NE(runs[1].row, runs[2].row);
}

TEST(Plan, NamesAreShortUniqueAndFitForFolders) {
  SweepSpec spec;
  Axis axis =
      listed("prompt_tuning_init_text", {"a/b", "a b", "a:b", "", "..", std::string(500, 'x'), std::string(500, 'x') + "y"});
  spec.axes = {axis};
  const auto runs = plan_runs(spec);
  std::set<std::string> seen;
  for (const PlannedRun& run : runs) {
    EXPECT_LE(run.name.size(), 120u);
    EXPECT_FALSE(run.name.empty());
    EXPECT_EQ(run.name.find('/'), std::string::npos);
    EXPECT_NE(run.name[0], '.');
    EXPECT_TRUE(seen.insert(run.name).second) << run.name;
  }
  EXPECT_EQ(names(runs), names(plan_runs(spec))) << "stable";
}

TEST(Plan, DrawsAreAFunctionOfSeedAndPlace) {
  SweepSpec spec;
  spec.method = SweepMethod::random;
  spec.axes = {rates(), listed("r", {"2", "4", "8"})};
  spec.run_cap = 12;
  const auto few = plan_runs(spec);
  ASSERT_EQ(few.size(), 12u);
  spec.run_cap = 40;
  const auto more = plan_runs(spec);
  for (size_t i = 0; i < few.size(); ++i)
    EXPECT_EQ(few[i].values[0].text, more[i].values[0].text) << "a longer list begins alike";
  spec.seed = 43;
  EXPECT_NE(plan_runs(spec)[0].values[0].text, few[0].values[0].text);
  std::set<std::string> ranks;
  for (const PlannedRun& run : more) {
    const double rate = std::stod(run.values[0].text);
    EXPECT_TRUE(rate >= 1e-3 && rate <= 1) << rate;
    ranks.insert(run.values[1].text);
  }
  EXPECT_EQ(ranks.size(), 3u);
}

TEST(Plan, ADrawHasARunForEveryRepeatedValue) {
  SweepSpec spec;
  spec.method = SweepMethod::random;
  spec.axes = {rates(), listed("seed", {"1", "2", "3"})};
  spec.repeat = {"seed"};
  spec.run_cap = 7;
  const auto runs = plan_runs(spec);
  ASSERT_EQ(runs.size(), 7u);
  EXPECT_EQ(runs[0].values[0].text, runs[2].values[0].text);
  EXPECT_EQ(runs[0].row, runs[2].row);
  EXPECT_NE(runs[2].row, runs[3].row);
  EXPECT_EQ(runs[4].values[1].text, "2");
}

TEST(Plan, WholeNumbersReachBothEnds) {
  Axis axis;
  axis.distribution = Distribution::int_uniform;
  axis.whole_low = 1, axis.whole_high = 3;
  std::set<std::string> seen;
  for (uint64_t draw = 0; draw < 100; ++draw) seen.insert(draw_value(axis, 5, draw, 0).text);
  EXPECT_THAT(seen, ElementsAre("1", "2", "3"));
  axis.whole_low = std::numeric_limits<int64_t>::min(), axis.whole_high = std::numeric_limits<int64_t>::max();
  EXPECT_NE(draw_value(axis, 5, 0, 0).text, draw_value(axis, 5, 1, 0).text);
}

TEST(Plan, TooManyRunsAreRefused) {
  SweepSpec spec;
  for (const char* option : {"seed", "r", "prefix_length", "max_steps", "data_seed"})
    spec.axes.push_back(listed(option, {"1", "2", "3", "4", "5", "6", "7"}));
  error_of(Code::usage, [&] { plan_runs(spec); });
  spec.method = SweepMethod::random;
  spec.run_cap = 1'000'000'000'000;
  error_of(Code::usage, [&] { plan_runs(spec); });
}

}  // namespace
}  // namespace dept
