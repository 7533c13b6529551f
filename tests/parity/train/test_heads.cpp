// Classification heads on whole models against transformers with autograd (make/heads.py): logits, loss, gradients of all that
// trains, ten optimiser steps, and the whole way by finite differences.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include <cmath>

#include "dept/base/json.h"
#include "dept/tensorio/tensor_source.h"
#include "dept/train/schedule.h"
#include "dept/train/step.h"
#include "parity/train/golden_models.h"
#include "support/dept_adapter.h"

namespace dept {
namespace test_heads {

constexpr int64_t steps = 10, warmup = 2;
constexpr double prompt_rate = 0.1, delta_rate = 0.02, head_rate = 0.03;

class Heads : public testing::TestWithParam<std::tuple<const char*, at::ScalarType>>, protected GoldenModel {
 protected:
  void SetUp() override {
    const auto [model, dtype] = GetParam();
    load(parity_data / "models" / model, fs::path(model).filename().string() + ".head", dtype, 2e-5);
    const ModelInfo& info = parts_.backbone->info();
    parts_.rules.head = true;
    parts_.weights = dept_alone({tensor("P"), tensor("A"), tensor("B")});
    parts_.weights.head.form = info.head;
    for (const auto& [member, head_tensor, shape] : head_tensors(info.head, 3, info.hidden))
      parts_.weights.head.*head_tensor = tensor(golden_name(member));
    parts_.pooling = default_pooling(info.architecture);
  }

  // "P" of prompt_embeddings, "classifier.weight" of base_model.classifier.weight.
  static std::string golden_name(const std::string& member) {
    if (member == "prompt_embeddings") return "P";
    return member.rfind("base_model.", 0) == 0 ? member.substr(11) : member.substr(member.size() - 1);
  }
  std::vector<std::pair<Pooling, std::string>> poolings() const {
    if (parts_.rules.architecture == Architecture::decoder) return {{Pooling::last, ""}};
    return {{Pooling::first, ""}, {Pooling::cls, ".cls"}, {Pooling::mean, ".mean"}};
  }
};

TEST_P(Heads, LogitsLossAndGradients) {
  const Batch examples = collate(parts_.rules, batch(0));
  for (const auto& [pooling, suffix] : poolings()) {
    parts_.pooling = pooling;
    expect_near(model().head_logits(examples), tensor("logits" + suffix + "." + kind_)[0].to(at::kDouble), "logits" + suffix);
    Gradients sums;
    const BatchLoss loss = model().loss({}, examples, &sums);
    EXPECT_EQ(loss.tokens.item<double>(), 4);
    expect_near(mean(loss), golden_loss("loss" + suffix), "loss" + suffix);
    const std::vector<Parameter> parameters = parts_.weights.parameters();
    for (size_t i = 0; i < parameters.size(); ++i) {
      const std::string name = "d" + suffix + "." + golden_name(parameters[i].name);
      expect_near(sums.at(i) / loss.tokens.item<double>(), tensor(name + "." + kind_), name);
    }
  }
}

// The model is at rest in the golden loop: Step turns dropout on, so the steps are taken by hand where the model has any.
TEST_P(Heads, TenOptimiserSteps) {
  dept_weights(parts_.weights).B.zero_();
  std::vector<Trainable> trainables = list_trainables(parts_.weights.parameters());
  AdamW adam(trainables, {});
  const Schedule schedule("linear", warmup, steps, prompt_rate);
  for (int64_t t = 0; t < steps; ++t) {
    Gradients sums;
    const BatchLoss loss = model().loss({}, collate(parts_.rules, batch(t % 2)), &sums);
    const double count = loss.tokens.item<double>();
    expect_near(loss.nll.item<double>() / count, golden_["losses"][kind_]["steps"][t].get<double>(),
                "step " + std::to_string(t + 1));
    for (at::Tensor& sum : sums) sum.div_(count);
    add_gradients(trainables, sums);
    clip_gradients(trainables, 1.0);
    const double factor = schedule.factor(t);
    adam.step({{prompt_rate * factor, delta_rate * factor, head_rate * factor}});
    zero_gradients(trainables);
  }
}

// (loss(w + h v) - loss(w - h v)) / 2h = <gradient, v>, the model's and the head's dropout on.
TEST_P(Heads, GradientsAreFiniteDifferencesInTraining) {
  if (context_.compute != at::kDouble) GTEST_SKIP() << "needs fp64";
  Call call;
  call.training = true;
  const Batch examples = collate(parts_.rules, batch(0));
  for (const auto& [pooling, suffix] : poolings()) {
    parts_.pooling = pooling;
    Gradients sums;
    model().loss(call, examples, &sums);
    const std::vector<Parameter> parameters = parts_.weights.parameters();
    for (size_t i = 0; i < parameters.size(); ++i) {
      const at::Tensor weight = parameters[i].value, before = weight.clone(),
                       v = at::randn(before.sizes(), at::detail::createCPUGenerator(5), at::kDouble);
      const double h = 1e-6;
      weight.copy_(before + h * v);
      const double above = model().loss(call, examples).nll.item<double>();
      weight.copy_(before - h * v);
      const double below = model().loss(call, examples).nll.item<double>();
      weight.copy_(before);
      const double exact = (sums.at(i) * v).sum().item<double>();
      EXPECT_NEAR((above - below) / (2 * h), exact, 1e-6 * std::abs(exact) + 1e-8) << parameters[i].name << suffix;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Heads,
                         testing::Combine(testing::Values("llama-gqa-tied", "bert", "roberta", "albert", "families/gpt2",
                                                          "distilbert", "electra", "modernbert", "deberta"),
                                          testing::Values(at::kFloat, at::kDouble)),
                         [](const auto& info) {
                           const std::string model = fs::path(std::get<0>(info.param)).filename();
                           return model.substr(0, model.find('-')) + (std::get<1>(info.param) == at::kDouble ? "Fp64" : "Fp32");
                         });

}  // namespace test_heads
}  // namespace dept
