#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "dept/base/error.h"
#include "dept/train/optimizer.h"
#include "dept/train/schedule.h"
#include "dept/train/trainables.h"
#include "support/dept_adapter.h"

namespace dept {
namespace {

AdapterWeights some_weights(int64_t R) {
  return dept_alone({at::randn({2, 3, 4}), at::randn({2, 5, R}), at::randn({2, R, 4})});
}

TEST(Trainables, AreTheWeightsOwnMemoryInTwoGroups) {
  const AdapterWeights weights = some_weights(2);
  std::vector<Trainable> list = list_trainables(weights.parameters());
  ASSERT_EQ(list.size(), 3u);
  EXPECT_EQ(list[0].group, Group::prompt);
  EXPECT_EQ(list[1].group, Group::delta);
  EXPECT_EQ(list[2].group, Group::delta);
  list[1].value.fill_(7);
  EXPECT_EQ(dept_weights(weights).A[1][4][1].item<float>(), 7);
  EXPECT_EQ(parameter_count(list), 3 * 4 + 5 * 2 + 2 * 4);
}

TEST(Trainables, LeaveOutWhatHasNoElements) {
  const std::vector<Trainable> list = list_trainables(some_weights(0).parameters());
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0].name, "prompt_embeddings");
  EXPECT_TRUE(list_trainables(no_adapter(4)->parameters()).empty());
}

TEST(Trainables, HoldTheHeadInAGroupOfItsOwn) {
  AdapterWeights weights = some_weights(2);
  weights.head.form = HeadForm::classifier;
  weights.head.out = at::randn({2, 3, 4});
  weights.head.out_bias = at::randn({2, 3});
  std::vector<Trainable> list = list_trainables(weights.parameters());
  ASSERT_EQ(list.size(), 5u);
  EXPECT_EQ(list[3].name, "base_model.classifier.weight");
  EXPECT_EQ(list[4].name, "base_model.classifier.bias");
  EXPECT_EQ(list[4].group, Group::head);
  EXPECT_EQ(parameter_count(list), 3 * 4 + 5 * 2 + 2 * 4 + 3 * 4 + 3);
  Gradients gradients;
  for (const Parameter& parameter : weights.parameters()) gradients.push_back(parameter.value);
  add_gradients(list, gradients);
  const at::Tensor before = weights.head.out.clone(), prompt = dept_weights(weights).P.clone();
  AdamW(list, {}).step({{0, 0, 0.5}, {0, 0, 0}});
  EXPECT_TRUE(dept_weights(weights).P.equal(prompt));
  EXPECT_FALSE(weights.head.out[0].equal(before[0])) << "configuration 0 learns at the head's rate";
  EXPECT_TRUE(weights.head.out[1].equal(before[1]));
}

TEST(Trainables, AddGradientsUpUntilZeroed) {
  const AdapterWeights weights = some_weights(2);
  const Gradients gradients = {at::randn({2, 3, 4}), at::randn({2, 5, 2}), at::randn({2, 2, 4})};
  std::vector<Trainable> list = list_trainables(weights.parameters());
  add_gradients(list, gradients);
  add_gradients(list, gradients);
  EXPECT_TRUE(list[2].grad.equal(gradients[2] * 2));
  zero_gradients(list);
  EXPECT_EQ(list[2].grad.abs().sum().item<float>(), 0);
}

// Not an error of the optimiser's: the next loss tells that the run is not finite.
TEST(AdamW, ARateThatFloatsDoNotReachMakesWhatItTrainsInfinite) {
  for (const AdamForm form : {AdamForm::hf, AdamForm::torch}) {
    const AdapterWeights weights = some_weights(2);
    std::vector<Trainable> list = list_trainables(weights.parameters());
    add_gradients(list, {at::randn({2, 3, 4}), at::randn({2, 5, 2}), at::randn({2, 2, 4})});
    AdamOptions options;
    options.form = form;
    options.weight_decay = 0.1;
    AdamW(list, options).step({{1e60, 1e60, 0}, {0.1, 0.1, 0}});
    EXPECT_FALSE(dept_weights(weights).P[0].isfinite().any().item<bool>());
    EXPECT_TRUE(dept_weights(weights).P[1].isfinite().all().item<bool>()) << "the others of the pass are as they were";
  }
}

TEST(AdamW, RefusesAStateOfOtherTensors) {
  const AdapterWeights weights = some_weights(2);
  AdamW adam(list_trainables(weights.parameters()), {});
  NamedTensors state = AdamW(list_trainables(some_weights(3).parameters()), {}).state();
  EXPECT_THROW(adam.load_state(state), Error);
  state = adam.state();
  state.pop_back();
  EXPECT_THROW(adam.load_state(state), Error);
  state = adam.state();
  state.emplace_back("other", at::zeros({1}));
  EXPECT_THROW(adam.load_state(state), Error);
  adam.load_state(adam.state());
  EXPECT_EQ(adam.steps(), 0);
}

TEST(Names, AreUsageErrorsWhenUnknown) {
  for (const auto& wrong :
       {+[] { parse_optim("sgd"); }, +[] { Schedule("cosines", 0, 10, 1); }, +[] { Schedule("polynomial", 0, 10, 0); }}) {
    try {
      wrong();
      ADD_FAILURE();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::usage);
    }
  }
}

TEST(WarmupSteps, ComeFromTheRatioUnlessGiven) {
  EXPECT_EQ(warmup_steps(20, 0.5, 100), 20);
  EXPECT_EQ(warmup_steps(0, 0.05, 150), 8);
  EXPECT_EQ(warmup_steps(0, 0, 150), 0);
}

}  // namespace
}  // namespace dept
