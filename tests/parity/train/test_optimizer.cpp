// The optimiser against numpy and torch.optim, schedules against transformers (make/optimizer.py).
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include "dept/base/json.h"
#include "dept/train/metric_schedule.h"
#include "dept/train/optimizer.h"
#include "dept/train/schedule.h"
#include "support/dept_adapter.h"

namespace dept {
namespace test_optimizer {

const fs::path data = fs::path(DEPT_TEST_DATA) / "parity" / "data" / "train";
constexpr int64_t steps = 12;
const std::vector<Rates> base_rates{{0.3, 0.005}, {0.05, 0.02}};

double relative_error(const at::Tensor& got, const at::Tensor& want) {
  return ((got.to(at::kDouble) - want).abs().max() / want.abs().max()).item<double>();
}

struct Golden {
  std::unique_ptr<TensorSource> file = open_safetensors(data / "optimizer.safetensors");
  std::vector<std::string> names{"P", "A", "B"};

  AdapterWeights start(at::ScalarType dtype) const {
    return dept_alone({read("P.start", dtype), read("A.start", dtype), read("B.start", dtype)});
  }
  at::Tensor read(const std::string& name, at::ScalarType dtype) const { return file->read(name).to(dtype); }
  void set_gradients(std::vector<Trainable>& trainables, int64_t step) const {
    for (size_t i = 0; i < names.size(); ++i) trainables[i].grad.copy_(file->read(names[i] + ".grads")[step]);
  }
};

class AdamGolden : public testing::TestWithParam<std::tuple<const char*, double, at::ScalarType>> {};

TEST_P(AdamGolden, TwelveStepsOfTwoConfigurations) {
  const auto [form, decay, dtype] = GetParam();
  const Golden golden;
  const AdapterWeights weights = golden.start(dtype);
  std::vector<Trainable> trainables = list_trainables(weights.parameters());
  ASSERT_EQ(trainables.size(), 3u);
  AdamOptions options;
  options.form = parse_optim(form);
  options.weight_decay = decay;
  auto adam = std::make_unique<AdamW>(trainables, options);
  for (int64_t t = 0; t < steps; ++t) {
    golden.set_gradients(trainables, t);
    std::vector<Rates> rates = base_rates;
    for (Rates& of_config : rates)
      for (double& rate : of_config) rate *= static_cast<double>(t + 1) / steps;
    adam->step(rates);
    if (t == 4) {  // the state carries everything over
      const NamedTensors state = adam->state();
      adam = std::make_unique<AdamW>(trainables, options);
      adam->load_state(state);
      EXPECT_EQ(adam->steps(), 5);
    }
  }
  for (size_t i = 0; i < 3; ++i) {
    const at::Tensor want = golden.read(golden.names[i] + "." + form + (decay == 0 ? ".0.0" : ".0.1"), at::kDouble);
    EXPECT_LE(relative_error(trainables[i].value, want), dtype == at::kDouble ? 1e-13 : 2e-6) << golden.names[i];
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, AdamGolden,
                         testing::Combine(testing::Values("adamw_hf", "adamw_torch"), testing::Values(0.0, 0.1),
                                          testing::Values(at::kFloat, at::kDouble)));

TEST(ClipGolden, EachConfigurationByTheNormOfAllItsGradients) {
  const Golden golden;
  for (const char* limit : {"1.0", "100.0"}) {
    const AdapterWeights weights = golden.start(at::kDouble);
    std::vector<Trainable> trainables = list_trainables(weights.parameters());
    golden.set_gradients(trainables, 0);
    const std::vector<double> norms = clip_gradients(trainables, std::stod(limit));
    ASSERT_EQ(norms.size(), 2u);
    for (int64_t k = 0; k < 2; ++k) {
      const std::string prefix = std::string("clip.") + limit + "." + std::to_string(k) + ".";
      EXPECT_NEAR(norms[k], golden.read(prefix + "norm", at::kDouble).item<double>(), 1e-12);
      for (size_t i = 0; i < 3; ++i)
        EXPECT_LE(relative_error(trainables[i].grad[k], golden.read(prefix + golden.names[i], at::kDouble)), 1e-13);
    }
  }
}

// Returns the names that it met.
std::set<std::string> expect_schedules(const char* file) {
  std::set<std::string> seen;
  for (const Json& one : read_json(data / file)) {
    const auto name = one["name"].get<std::string>();
    seen.insert(name);
    const auto arguments = one["arguments"].get<std::string>();
    const Schedule schedule(name, one["warmup"].get<int64_t>(), one["total"].get<int64_t>(), 0.3,
                            parse_schedule_arguments(name, arguments));
    for (size_t t = 0; t < one["rates"].size(); ++t)
      EXPECT_NEAR(0.3 * schedule.factor(static_cast<int64_t>(t)), one["rates"][t].get<double>(), 1e-15)
          << name << " " << arguments << " warm-up " << one["warmup"] << " total " << one["total"] << " after " << t;
  }
  return seen;
}

TEST(ScheduleGolden, AllNamesAsTransformers) {
  EXPECT_EQ(expect_schedules("schedules.json").size(), schedule_names().size());
}

TEST(ScheduleGolden, TheOriginalsNamesAsItsTransformers) {
  EXPECT_EQ(expect_schedules("schedules_4.28.json").size(), 7u);
}

TEST(ScheduleGolden, RatesFollowAMetricAsInTorchAndTransformers) {
  std::set<std::string> seen;
  const Rates start = {0.3, 0.005, 0.02, 0.3};  // the last one is the first's, as without images: checkpoints leave it out
  for (const Json& one : read_json(data / "metric_schedules.json")) {
    const auto name = one["name"].get<std::string>();
    const auto arguments = one["arguments"].get<std::string>();
    seen.insert(name);
    MetricSchedule schedule(parse_metric_schedule(name, arguments, false), start);
    for (size_t t = 0; t < one["metrics"].size(); ++t) {
      schedule.evaluated(one["metrics"][t].get<double>());
      for (size_t group = 0; group < groups; ++group)
        ASSERT_EQ(schedule.rates()[group], one["rates"][t][group < 3 ? group : 0].get<double>())
            << name << " " << arguments << " after " << t;
      if (t % 7 != 3) continue;
      const Json kept = Json::parse(schedule.state().dump());  // as a checkpoint keeps it
      EXPECT_EQ(kept["rates"].size(), 3u);
      schedule = MetricSchedule(parse_metric_schedule(name, arguments, false), start);
      schedule.restore(kept, "checkpoint");
    }
  }
  EXPECT_EQ(seen.size(), metric_schedule_names().size());
}

}  // namespace test_optimizer
}  // namespace dept
