// DePT on whole models against transformers with autograd (make/dept_on_models.py): loss, gradients, ten optimiser steps.
#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>

#include "dept/base/json.h"
#include "dept/tensorio/tensor_source.h"
#include "dept/train/schedule.h"
#include "dept/train/step.h"
#include "parity/train/golden_models.h"
#include "support/dept_adapter.h"

namespace dept {
namespace test_dept_on_models {

constexpr int64_t steps = 10, warmup = 2;
const std::string decoder_prompt = ".decoder-prompt";
constexpr double prompt_rate = 0.1, delta_rate = 0.02;

/// The model without dropout: a folder that differs from the committed one in config.json alone.
fs::path without_dropout(const std::string& model) {
  const fs::path folder = fs::path(testing::TempDir()) / ("dept_without_dropout_" + model + "_" + std::to_string(::getpid()));
  fs::create_directories(folder);
  fs::copy_file(parity_data / "models" / model / "model.safetensors", folder / "model.safetensors",
                fs::copy_options::overwrite_existing);
  Json config = read_json(parity_data / "models" / model / "config.json");
  config["dropout_rate"] = 0;
  write_atomic(folder / "config.json", config.dump());
  return folder;
}

class DeptOnModels : public testing::TestWithParam<std::tuple<std::string, at::ScalarType>>, protected GoldenModel {
 protected:
  void SetUp() override {
    const auto [name, dtype] = GetParam();
    const fs::path folder = without_dropout(name.substr(0, name.find(decoder_prompt)));
    load(folder, name + ".dept", dtype, 1e-4);
    fs::remove_all(folder);
    const DeptWeights weights{tensor("P"), tensor("A"), tensor("B")};
    parts_.weights.input = dept_adapter(weights, 8, name.ends_with(decoder_prompt) ? 2 : 1);
  }
};

TEST_P(DeptOnModels, LossAndGradients) {
  Gradients gradients;
  const BatchLoss loss = model().loss({}, collate(parts_.rules, batch(0)), &gradients);
  const DeptWeights sums = dept_weights(gradients);
  expect_near(mean(loss), golden_loss("loss"), "loss");
  for (const auto& [name, sum] : {std::pair{"dP", sums.P}, {"dA", sums.A}, {"dB", sums.B}}) {
    const at::Tensor want = tensor(std::string(name) + "." + kind_);
    const at::Tensor error = (sum / loss.tokens.item<double>() - want).abs().max() / want.abs().max();
    EXPECT_LE(error.item<double>(), tolerance_) << name;
  }
}

TEST_P(DeptOnModels, LabelScoresAddUpToTheLoss) {
  expect_near(mean_label_nll(batch(0)), golden_loss("loss"), "loss");
}

TEST_P(DeptOnModels, TenOptimiserSteps) {
  dept_weights(parts_.weights).B.zero_();
  AdaptedModel trained = model();
  Step step({}, trained, {}, 1.0, 1);
  const Schedule schedule("linear", warmup, steps, prompt_rate);
  for (int64_t t = 0; t < steps; ++t) {
    step.accumulate(batch(t % 2));
    const double factor = schedule.factor(t);
    const double loss = step.update({{prompt_rate * factor, delta_rate * factor}}).item<double>();
    expect_near(loss, golden_["losses"][kind_]["steps"][t].get<double>(), "step " + std::to_string(t + 1));
  }
}

class DecoderPrompt : public DeptOnModels {};

TEST_P(DecoderPrompt, GreedyAnswers) {
  parts_.tokenizer = load_tokenizer(parity_data / "models" / "t5-v1.0");
  const std::vector<std::string> answers = greedy_answers(batch(0));
  for (size_t i = 0; i < answers.size(); ++i)
    EXPECT_EQ(answers[i], parts_.tokenizer->decode(golden_["greedy"][i].get<Ids>())) << i;
}

INSTANTIATE_TEST_SUITE_P(Models, DeptOnModels,
                         testing::Combine(testing::Values("llama-gqa-tied", "t5-v1.0", "t5-v1.0.decoder-prompt"),
                                          testing::Values(at::kFloat, at::kDouble)),
                         [](const auto& info) {
                           const std::string model = std::get<0>(info.param);
                           return model.substr(0, model.find('-')) + (model.ends_with(decoder_prompt) ? "DecoderPrompt" : "") +
                                  (std::get<1>(info.param) == at::kDouble ? "Fp64" : "Fp32");
                         });

INSTANTIATE_TEST_SUITE_P(T5, DecoderPrompt,
                         testing::Combine(testing::Values("t5-v1.0.decoder-prompt"), testing::Values(at::kFloat, at::kDouble)),
                         [](const auto& info) { return std::get<1>(info.param) == at::kDouble ? "Fp64" : "Fp32"; });

}  // namespace test_dept_on_models
}  // namespace dept
