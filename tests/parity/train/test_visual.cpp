// Models that see images against transformers and a plain PyTorch port (make/visual.py): loss, gradients of all that trains,
// answers.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <map>

#include "dept/base/json.h"
#include "dept/tensorio/tensor_source.h"
#include "dept/train/step.h"
#include "parity/train/golden_models.h"
#include "support/dept_adapter.h"
#include "unit/base/scratch.h"

namespace dept {
namespace test_visual {

constexpr int64_t T = 4, C = 6, D = 32, S = 16;

// Images by name.
class Named : public VisualSource {
 public:
  explicit Named(std::map<std::string, at::Tensor> images) : images_(std::move(images)) {}
  at::Tensor read(const std::string& image) const override { return images_.at(image); }
  int64_t channels() const override { return C; }
  int64_t tokens() const override { return T; }

 private:
  std::map<std::string, at::Tensor> images_;
};

class Visual : public testing::TestWithParam<std::tuple<std::string, at::ScalarType>>, protected GoldenModel {
 protected:
  void SetUp() override {
    const auto [name, dtype] = GetParam();
    load(parity_data / "models" / name, name + ".visual", dtype, 1e-4);
    parts_.backbone_dropout = false;  // as the golden values are without any
    parts_.tokenizer = load_tokenizer(parity_data / "models" / name);
    parts_.weights = dept_alone({tensor("P"), tensor("A"), tensor("B")});
    VisualWeights& visual = parts_.weights.visual;
    visual.form = parts_.rules.encoder_decoder() ? VisualForm::clip_t5 : VisualForm::linear;
    for (const VisualTensor& member : visual_tensors(visual.form, {T, C, D})) visual.*member.tensor = tensor(member.name);
    std::map<std::string, at::Tensor> images;
    for (const char* image : {"a", "b"}) images[image] = tensors_->read(std::string("image.") + image);
    parts_.rules.visual = std::make_shared<const VisualInput>(std::make_unique<Named>(images), false);
  }

  std::vector<Example> seen(bool scored = false) const {
    std::vector<Example> examples = batch(0);
    for (size_t i = 0; i < examples.size(); ++i) {
      examples[i].image = golden_["batches"][0][i]["image"].get<std::string>();
      examples[i].visual = T;
      if (scored) examples[i].score = golden_["scores"][i].get<double>();
    }
    return examples;
  }
};

TEST_P(Visual, LossAndGradients) {
  Gradients sums;
  const BatchLoss loss = model().loss({}, collate(parts_.rules, seen()), &sums);
  expect_near(mean(loss), golden_loss("loss"), "loss");
  const std::vector<Parameter> parameters = parts_.weights.parameters();
  ASSERT_EQ(sums.size(), parameters.size());
  const std::map<std::string, std::string> short_names = {
      {"prompt_embeddings", "P"}, {"prompt_encoder.lora_embedding_A", "A"}, {"prompt_encoder.lora_embedding_B", "B"}};
  for (size_t i = 0; i < parameters.size(); ++i) {
    const auto found = short_names.find(parameters[i].name);
    const std::string name = found == short_names.end() ? parameters[i].name : found->second;
    const at::Tensor want = tensor("d." + name + "." + kind_)[0], got = sums[i][0] / loss.tokens.item<double>();
    if (want.abs().max().item<double>() == 0)
      EXPECT_EQ(got.abs().max().item<double>(), 0) << name;
    else
      expect_near(got, want, name);
  }
}

// An example's loss is the mean over its tokens times its answer's score.
TEST_P(Visual, ScoredLoss) {
  Gradients sums;
  const std::vector<Example> examples = seen(true);
  const BatchLoss loss = model().loss({}, collate(parts_.rules, examples), &sums);
  EXPECT_NEAR(loss.tokens.item<double>(), static_cast<double>(examples.size()), 1e-12);
  expect_near(mean(loss), golden_loss("scored"), "loss");
  expect_near(sums[0][0] / loss.tokens.item<double>(), tensor("scored.d.P." + kind_)[0], "dP");
}

TEST_P(Visual, LabelScoresAddUpToTheLoss) {
  expect_near(mean_label_nll(seen()), golden_loss("loss"), "loss");
}

TEST_P(Visual, GreedyAnswers) {
  const std::vector<std::string> answers = greedy_answers(seen());
  for (size_t i = 0; i < answers.size(); ++i)
    EXPECT_EQ(answers[i], parts_.tokenizer->decode_written(golden_["greedy"][i].get<Ids>())) << i;
}

// LibTorch's plain operators compute the same.
TEST_P(Visual, PlainKernelsAgree) {
  const auto [name, dtype] = GetParam();
  context_.kernels = Kernels::plain;
  parts_.backbone = load_backbone(parity_data / "models" / name, context_);
  expect_near(mean_loss(model(), seen()), golden_loss("loss"), "loss");
}

// The files hold the embedding, checkpoints too; folded for answers the adapter says the same.
TEST_P(Visual, ComesBackFromItsFiles) {
  if (context_.compute == at::kDouble) GTEST_SKIP() << "files are fp32";
  const Scratch scratch;
  AdapterConfig config;
  config.num_virtual_tokens = parts_.weights.input->prompt_tokens();
  config.token_dim = D;
  config.r = 3;
  config.max_length = S;
  config.visual = VisualConfig{"patches:2:4", parts_.weights.visual.form, T, C};
  save_adapter(scratch.path(), config, parts_.weights);
  const Adapter loaded = load_adapter(scratch.path(), D);
  ASSERT_TRUE(loaded.config.visual.has_value());
  EXPECT_EQ(loaded.config.visual->source, "patches:2:4");
  const double loss = mean_loss(model(), seen());
  parts_.weights = loaded.weights;
  EXPECT_EQ(mean_loss(model(), seen()), loss);
  parts_ = fold(parts_);
  expect_near(mean_loss(model(), seen()), loss, "folded");
  write_atomic(scratch / "adapter_config.json", [&] {
    Json json = read_json(scratch / "adapter_config.json");
    json["visual"]["channels"] = C + 1;
    return json.dump();
  }());
  EXPECT_NE(error_of(Code::bad_input, [&] { load_adapter(scratch.path(), D); }).find("visual_embedding."), std::string::npos);
}

// What moves is what the optimiser is told to move, and the loss falls.
TEST_P(Visual, TrainsAtItsOwnRate) {
  AdaptedModel trained = model();
  const at::Tensor P = trained.weights().parameters().front().value.clone();
  const at::Tensor before = trained.weights().visual.linear.clone();
  const double loss = mean_loss(trained, seen());
  Step step({}, trained, {}, 1.0, 1);
  for (int64_t t = 0; t < 5; ++t) {
    step.accumulate(seen());
    step.update({{0, 0, 0, 0.02}});
  }
  EXPECT_TRUE(trained.weights().parameters().front().value.equal(P));
  EXPECT_FALSE(trained.weights().visual.linear.equal(before));
  EXPECT_LT(mean_loss(trained, seen()), loss);
  int64_t numbers = 0;
  for (const Parameter& parameter : visual_parameters(trained.weights().visual)) numbers += parameter.value.numel();
  EXPECT_EQ(step.visual_parameters(), numbers);
  EXPECT_EQ(step.parameters(), P.numel() + S * 3 + 3 * D);
}

INSTANTIATE_TEST_SUITE_P(Models, Visual,
                         testing::Combine(testing::Values("llama-gqa-tied", "t5-v1.0"), testing::Values(at::kFloat, at::kDouble)),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param)[0] == 't' ? "T5" : "Llama") +
                                  (std::get<1>(info.param) == at::kDouble ? "Fp64" : "Fp32");
                         });

// VL-Adapter's embedding of CLIP-T5's features has 1.58 million numbers.
TEST(VisualNumbers, AreVlAdapters) {
  const VisualWeights w = init_visual(VisualForm::clip_t5, {36, 2048, 768}, at::detail::createCPUGenerator(1));
  int64_t numbers = 0;
  for (const Parameter& parameter : visual_parameters(w)) {
    EXPECT_EQ(parameter.group, Group::visual);
    numbers += parameter.value.numel();
  }
  EXPECT_EQ(numbers, 2048 * 768 + 5 * 768 + 5 * 768);
}

}  // namespace test_visual
}  // namespace dept
