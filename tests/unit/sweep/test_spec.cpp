// What a recipe's sweep may say, and what is said of mistakes.
#include <gmock/gmock.h>

#include "dept/sweep/sweep.h"
#include "sweep/spec.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

using ::testing::HasSubstr;

class Spec : public ::testing::Test {
 protected:
  SweepSpec read(const std::string& sweep, const std::string& name = "recipe.yaml") {
    const fs::path path = scratch_.write(name, sweep);
    SweepOptions options;
    OptionSet set;
    describe(options, set);
    Problems problems;
    const auto tree = read_option_tree(path, "sweep");
    EXPECT_TRUE(tree.has_value());
    SweepSpec spec = read_sweep_spec(*tree, set, problems);
    problems.raise();
    return spec;
  }
  std::string refusal(const std::string& sweep) {
    return error_of(Code::usage, [&] { read(sweep); });
  }
  // Of one axis in a sweep that draws.
  std::string refused_axis(const std::string& axis) {
    return refusal("sweep:\n  method: random\n  run_cap: 3\n  parameters:\n    " + axis + "\n");
  }
  Scratch scratch_;
};

TEST_F(Spec, IsReadInFull) {
  const SweepSpec spec = read(R"(max_steps: 3
sweep:
  method: halving
  metric: {name: eval_loss, goal: minimize}
  parameters:
    learning_rate: {min: 1e-4, max: 5e-1, distribution: log_uniform_values}
    r: {min: 2, max: 8}
    weight_decay: {min: 0, max: 0.5}
    evaluation_strategy: {value: "no"}
    train_file: {values: [[a.csv, b.csv], c.csv]}
    seed: {values: [1, 2]}
  repeat: seed
  run_cap: 24
  seed: 7
  early_terminate: {min_iter: 50, eta: 4}
  budget: {steps: 2000, minutes: 1.5}
  stack: auto
)");
  EXPECT_EQ(spec.method, SweepMethod::halving);
  EXPECT_EQ(spec.metric, "loss");
  EXPECT_EQ(spec.maximize, false);
  ASSERT_EQ(spec.axes.size(), 6u);
  EXPECT_EQ(spec.axes[0].distribution, Distribution::log_uniform_values);
  EXPECT_EQ(spec.axes[0].low, 1e-4);
  EXPECT_EQ(spec.axes[1].distribution, Distribution::int_uniform) << "whole min and max";
  EXPECT_EQ(spec.axes[1].whole_high, 8);
  EXPECT_EQ(spec.axes[2].distribution, Distribution::uniform);
  EXPECT_EQ(spec.axes[3].option, "eval_strategy") << "by its own name";
  EXPECT_EQ(spec.axes[3].distribution, Distribution::constant);
  EXPECT_EQ(spec.axes[4].values[0].items[1].text, "b.csv");
  EXPECT_EQ(spec.repeat, std::vector<std::string>{"seed"});
  EXPECT_EQ(spec.run_cap, 24);
  EXPECT_EQ(spec.seed, 7u);
  EXPECT_EQ(spec.min_iter, 50);
  EXPECT_EQ(spec.eta, 4);
  EXPECT_EQ(spec.budget_steps, 2000);
  EXPECT_EQ(spec.budget_minutes, 1.5);
  EXPECT_EQ(spec.stack, 0);
}

TEST_F(Spec, JsonKeepsTheOrderOfAxes) {
  const SweepSpec spec =
      read(R"({"sweep": {"parameters": {"seed": {"values": [1, 2]}, "learning_rate": {"values": [0.5]}}}})", "r.json");
  ASSERT_EQ(spec.axes.size(), 2u);
  EXPECT_EQ(spec.axes[0].option, "seed");
  EXPECT_EQ(spec.axes[1].values[0].text, "0.5");
}

TEST_F(Spec, AllMistakesAreSaidAtOnceWithTheirLines) {
  const std::string message = refusal(R"(sweep:
  method: gird
  metric: {name: eval_acuracy, goal: most}
  parameters:
    lerning_rate: {values: [1]}
    r: {values: [2.5]}
    seed: {values: []}
    output_dir: {values: [a]}
  repeat: [dtype]
  early_terminate: {min_iter: 5, eta: 1}
  budget: {steps: 0, minutes: 0}
  stack: 0
  kap: 1
)");
  for (const char* part :
       {"line 2: sweep.method] expected one of grid, random, halving (the nearest is grid)",
        "line 3: sweep.metric.name] expected one of loss", "line 3: sweep.metric.goal]",
        "line 5: sweep.parameters.lerning_rate] expected a known option (the nearest is learning_rate)",
        "line 6: sweep.parameters.r.values] expected an integer",
        "line 7: sweep.parameters.seed.values] expected a list of values", "line 8: sweep.parameters.output_dir]",
        "line 9: sweep.repeat] expected axes of this sweep, received \"dtype\"", "line 10: sweep.early_terminate.eta]",
        "line 11: sweep.budget.steps]", "line 11: sweep.budget.minutes]", "line 12: sweep.stack]", "line 13: sweep.kap]"})
    EXPECT_THAT(message, HasSubstr(part));
}

TEST_F(Spec, OfAnAxisWithAMistakeNoOtherOneIsSaid) {
  const std::string message = refusal("sweep:\n  parameters:\n    seed: {values: [x]}\n  repeat: [seed]\n");
  EXPECT_THAT(message, HasSubstr("sweep.parameters.seed.values]"));
  EXPECT_THAT(message, ::testing::Not(HasSubstr("sweep.repeat]"))) << "it is an axis";
}

TEST_F(Spec, RefusesWhatHasNoMeaning) {
  EXPECT_THAT(refusal("sweep: 3\n"), HasSubstr("a mapping"));
  EXPECT_THAT(refusal("sweep: {method: grid}\n"), HasSubstr("sweep.parameters]"));
  EXPECT_THAT(refusal("sweep: {parameters: {}}\n"), HasSubstr("sweep.parameters]"));
  EXPECT_THAT(refusal("sweep: {parameters: {seed: [1]}}\n"), HasSubstr("a mapping of values"));
  EXPECT_THAT(refusal("sweep: {parameters: {seed: {}}}\n"), HasSubstr("none of them"));
  EXPECT_THAT(refusal("sweep: {parameters: {learning_rate: {min: 0.1, max: 1}}}\n"), HasSubstr("as a grid takes each"));
  EXPECT_THAT(
      refusal("sweep: {method: halving, early_terminate: {min_iter: 2}, parameters: {learning_rate: {min: 0.1, max: 1}}}\n"),
      HasSubstr("as a grid takes each"));
  EXPECT_THAT(refusal("sweep: {method: halving, parameters: {seed: {values: [1]}}}\n"), HasSubstr("early_terminate.min_iter]"));
  EXPECT_THAT(refusal("sweep: {method: random, parameters: {seed: {values: [1]}}}\n"), HasSubstr("sweep.run_cap]"));
  EXPECT_THAT(
      refusal("sweep: {parameters: {seed: {values: [1]}, eval_strategy: {value: epoch}, evaluation_strategy: {value: epoch}}}\n"),
      HasSubstr("eval_strategy twice"));
  EXPECT_THAT(refusal("sweep:\n  parameters:\n    seed: {values: [1]}\n    seed: {values: [2]}\n"), HasSubstr("each key once"));
  EXPECT_THAT(refused_axis("learning_rate: {min: 2, max: 1.5}"), HasSubstr("min 2, max 1.5"));
  EXPECT_THAT(refused_axis("learning_rate: {min: 0, max: 1, distribution: log_uniform_values}"), HasSubstr("a logarithm"));
  EXPECT_THAT(refused_axis("learning_rate: {min: 0.1}"), HasSubstr("no max"));
  EXPECT_THAT(refused_axis("learning_rate: {values: [1], min: 0.1}"), HasSubstr("several of them"));
  EXPECT_THAT(refused_axis("learning_rate: {min: -0.5, max: 1}"), HasSubstr("at least 0"));
  EXPECT_THAT(refused_axis("learning_rate: {min: a, max: 1}"), HasSubstr("a number"));
  EXPECT_THAT(refused_axis("learning_rate: {values: [1], distribution: uniform}"), HasSubstr("categorical"));
  EXPECT_THAT(refused_axis("learning_rate: {min: 0.1, max: 1, distribution: int_uniform}"), HasSubstr("a whole number"));
  EXPECT_THAT(refused_axis("r: {min: 1, max: 4, distribution: uniform}"), HasSubstr("int_uniform"));
  EXPECT_THAT(refused_axis("r: {min: 1.5, max: 4}"), HasSubstr("an integer"));
  EXPECT_THAT(refused_axis("dtype: {min: 1, max: 4}"), HasSubstr("received"));
  EXPECT_THAT(refused_axis("dtype: {values: [fp31]}"), HasSubstr("fp32"));
}

}  // namespace
}  // namespace dept
