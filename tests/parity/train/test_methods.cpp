// The methods beside DePT on whole models against PyTorch's autograd and PEFT's own network (make/methods.py): starts, loss,
// gradients of all that trains, ten optimiser steps; what a trained adapter amounts to, and its files.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include <cmath>

#include "dept/base/json.h"
#include "dept/tensorio/tensor_source.h"
#include "dept/train/schedule.h"
#include "dept/train/step.h"
#include "parity/train/golden_models.h"
#include "unit/base/scratch.h"

namespace dept {
namespace test_methods {

constexpr int64_t steps = 10, warmup = 2, M = 4, R = 3, H = 6, D = 32;
constexpr double prompt_rate = 0.1, delta_rate = 0.02;

const std::vector<const Method*>& others() {
  static const std::vector<const Method*> list(methods().begin() + 2, methods().end());
  return list;
}

AdapterConfig config_of(const Method& method) {
  AdapterConfig config;
  config.method = &method;
  config.num_virtual_tokens = M;
  config.token_dim = D;
  config.r = R;
  config.encoder_hidden_size = H;
  config.projection_seed = 42;
  config.task_type = "CAUSAL_LM";
  return config;
}

std::string name_of(const Method& method) {
  return std::string(method.peft_type);
}

class Methods : public testing::TestWithParam<std::tuple<const Method*, const char*, at::ScalarType>>, protected GoldenModel {
 protected:
  void SetUp() override {
    const auto [method, model, dtype] = GetParam();
    method_ = method;
    load(parity_data / "models" / model, std::string(model) + ".methods", dtype, 1e-4);
    parts_.backbone_dropout = false;  // as the golden values are without any
    const AdapterShape shape = shape_of(config_of(*method));
    std::vector<at::Tensor> values;
    for (const AdapterTensor& member : method->tensors(shape)) values.push_back(golden(member.name).contiguous());
    parts_.weights.input = make_adapter(*method, shape, values);
  }

  at::Tensor golden(const std::string& name) const { return tensor(name_of(*method_) + "." + name); }
  const Json& losses() const { return golden_["losses"][name_of(*method_)][kind_]; }
  double first_loss() const { return mean_loss(model(), batch(0)); }

  const Method* method_ = nullptr;
};

TEST_P(Methods, LossAndGradients) {
  Gradients sums;
  const BatchLoss loss = model().loss({}, collate(parts_.rules, batch(0)), &sums);
  expect_near(mean(loss), losses()["loss"].get<double>(), "loss");
  const std::vector<Parameter>& parameters = parts_.weights.input->parameters();
  ASSERT_EQ(sums.size(), parameters.size());
  for (size_t i = 0; i < parameters.size(); ++i) {
    const at::Tensor want = golden("d." + parameters[i].name + "." + kind_);
    const at::Tensor error = (sums[i] / loss.tokens.item<double>() - want).abs().max() / want.abs().max();
    EXPECT_LE(error.item<double>(), tolerance_) << parameters[i].name;
  }
}

// Step turns training on: the backbone's dropout stays off by the model's own word.
TEST_P(Methods, TenOptimiserSteps) {
  AdaptedModel trained = model();
  Step step({}, trained, {}, 1.0, 1);
  const Schedule schedule("linear", warmup, steps, prompt_rate);
  for (int64_t t = 0; t < steps; ++t) {
    step.accumulate(batch(t % 2));
    const double factor = schedule.factor(t);
    const double loss = step.update({{prompt_rate * factor, delta_rate * factor}}).item<double>();
    expect_near(loss, losses()["steps"][t].get<double>(), "step " + std::to_string(t + 1));
  }
}

TEST_P(Methods, FoldedItAnswersTheSame) {
  const double loss = first_loss();
  parts_ = fold(parts_);
  EXPECT_EQ(parts_.weights.input->parameters().size(), 1u) << "a prompt alone is left";
  EXPECT_EQ(parts_.word_embeddings.defined(), name_of(*method_) == "ADEPT");
  expect_near(first_loss(), loss, "folded");
}

TEST_P(Methods, TrainsOnFromACheckpointAndAnswersFromItsFiles) {
  if (context_.compute == at::kDouble) GTEST_SKIP() << "files are fp32";
  const Scratch scratch;
  const AdapterConfig config = config_of(*method_);
  const double loss = first_loss();
  save_adapter(scratch.path(), config, parts_.weights, 0, {.network = true});
  const AdapterWeights trained = load_adapter(scratch.path(), D, {.use = AdapterUse::training}).weights;
  const std::vector<Parameter> expected = parts_.weights.parameters(), got = trained.parameters();
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].name, expected[i].name);
    EXPECT_TRUE(got[i].value.equal(expected[i].value)) << got[i].name;
  }
  parts_.weights = load_adapter(scratch.path(), D).weights;
  expect_near(first_loss(), loss, "loaded");
}

INSTANTIATE_TEST_SUITE_P(All, Methods,
                         testing::Combine(testing::ValuesIn(others()), testing::Values("llama-gqa-tied", "t5-v1.0"),
                                          testing::Values(at::kFloat, at::kDouble)),
                         [](const auto& info) {
                           const std::string model = std::get<1>(info.param);
                           return name_of(*std::get<0>(info.param)) + (model[0] == 't' ? "OnT5" : "OnLlama") +
                                  (std::get<2>(info.param) == at::kDouble ? "Fp64" : "Fp32");
                         });

TEST(MethodStarts, AreTorchsDraws) {
  const auto file = open_safetensors(parity_data / "adapter" / "starts.safetensors");
  const at::Tensor words = file->read("words");
  size_t compared = 0;
  for (const Method* method : others()) {
    const AdapterStart start{[&] { return words; }, at::make_generator<at::CPUGeneratorImpl>(7)};
    const auto adapter = start_adapter(*method, shape_of(config_of(*method)), start);
    for (const Parameter& parameter : adapter->parameters()) {
      const std::string name = name_of(*method) + "." + parameter.name;
      if (file->find(name) == nullptr) continue;
      ++compared;
      EXPECT_TRUE(parameter.value[0].equal(file->read(name))) << name;
    }
    const bool starts_of_words = method->fields.words;
    EXPECT_EQ(adapter->parameters().front().value[0].equal(words), starts_of_words) << name_of(*method);
  }
  EXPECT_EQ(compared + 1, file->tensors().size()) << "all but the words";
}

// A network that made the prompt is not in a finished run's folder.
TEST(MethodFiles, AKeptPromptAloneIsNotTrainedOn) {
  for (const char* name : {"RESIDUAL_PROMPT", "P_TUNING"}) {
    const Scratch scratch;
    const Method& method = find_method(name);
    const AdapterConfig config = config_of(method);
    const AdapterStart start{[] { return at::randn({M, D}); }, at::make_generator<at::CPUGeneratorImpl>(7)};
    save_adapter(scratch.path(), config, {start_adapter(method, shape_of(config), start), {}, {}});
    EXPECT_EQ(open_safetensors(scratch / "adapter_model.safetensors")->tensors().size(), 1u);
    EXPECT_NE(error_of(Code::bad_input, [&] { load_adapter(scratch.path(), D, {.use = AdapterUse::training}); })
                  .find("prompt_encoder.safetensors"),
              std::string::npos);
  }
}

// In training ADePT's inner values are dropped out: what is left is larger by 1 / (1 - p), and depends on the step alone.
TEST(Adept, DropsInnerValuesInTraining) {
  const Method& method = find_method("ADEPT");
  AdapterConfig config = config_of(method);
  config.adapter_dropout = 0.5;
  const AdapterShape shape = shape_of(config);
  std::vector<at::Tensor> values;
  for (const AdapterTensor& tensor : method.tensors(shape)) {
    std::vector<int64_t> sizes = tensor.shape;
    sizes.insert(sizes.begin(), 1);
    values.push_back(at::randn(sizes, at::detail::createCPUGenerator(values.size()), at::kDouble));
  }
  const auto adapter = make_adapter(method, shape, values);
  Stream text;
  text.tokens.append(5, 3, 0);
  text.tokens.position = at::arange(5, at::kLong);
  text.embeds = at::randn({5, D}, at::detail::createCPUGenerator(11), at::kDouble);
  const auto changed = [&](const Call& call) {
    return adapter->apply({call}, text, nullptr).source.stream.embeds.narrow(0, M, 5);
  };
  Call rest, first, second;
  first.training = second.training = true;
  second.micro_step = 1;
  EXPECT_TRUE(changed(first).equal(changed(first)));
  EXPECT_FALSE(changed(first).equal(changed(second)));
  // (X - E - b) = relu(mask * 2 * (E A + a)) B for a mask of zeros and ones: solved for the mask by its 2^R values.
  const at::Tensor &A = values[1], &B = values[2], &a = values[3], &b = values[4];
  const at::Tensor inner = text.embeds.matmul(A[0]) + a[0], offset = changed(first) - text.embeds - b[0];
  for (int64_t n = 0; n < 5; ++n) {
    int64_t found = 0;
    for (int64_t mask = 0; mask < 1 << R; ++mask) {
      at::Tensor kept = inner[n].clone() * 2;
      for (int64_t r = 0; r < R; ++r)
        if ((mask >> r & 1) == 0) kept[r] = 0;
      if ((kept.clamp_min(0).matmul(B[0]) - offset[n]).abs().max().item<double>() < 1e-9) ++found;
    }
    EXPECT_GE(found, 1) << "token " << n;
  }
  EXPECT_FALSE(changed(first).allclose(changed(rest)));
}

}  // namespace test_methods
}  // namespace dept
