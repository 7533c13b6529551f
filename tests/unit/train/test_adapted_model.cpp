#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "dept/base/error.h"
#include "unit/train/tiny.h"

namespace dept {
namespace {

double mean_loss(const AdaptedModel& model, std::span<const Example> examples) {
  const BatchLoss loss = model.loss({}, collate(model.rules(), examples));
  return (loss.nll / loss.tokens)[0].item<double>();
}

class AdaptedModelOf : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Families, AdaptedModelOf, ::testing::Values("llama-gqa-tied", "t5-v1.0"),
                         [](const auto& name) { return std::string(name.param == "t5-v1.0" ? "t5" : "llama"); });

TEST_P(AdaptedModelOf, SumsCountEveryLabelToken) {
  const AdaptedModel model(tiny_parts(GetParam()));
  const std::vector<Example> examples = random_examples(5, 7);
  const BatchLoss whole = model.loss({}, collate(model.rules(), examples));
  double nll = 0, tokens = 0, targets = 0;
  for (const Example& example : examples) {
    const BatchLoss one = model.loss({}, collate(model.rules(), std::span(&example, 1)));
    nll += one.nll[0].item<double>();
    tokens += one.tokens[0].item<double>();
    targets += static_cast<double>(example.target.size());
  }
  EXPECT_NEAR(whole.nll[0].item<double>(), nll, 1e-4 * nll);
  EXPECT_EQ(whole.tokens[0].item<double>(), tokens);
  EXPECT_EQ(tokens, targets);
}

TEST_P(AdaptedModelOf, TokensAddUpToTheLoss) {
  const AdaptedModel model(tiny_parts(GetParam()));
  const Batch batch = collate(model.rules(), random_examples(5, 7));
  const at::Tensor nll = model.token_nll(batch);
  const double expected = model.loss({}, batch).nll[0].item<double>();
  EXPECT_EQ(nll.sizes(), batch.labels.sizes());
  EXPECT_NEAR(nll.sum().item<double>(), expected, 1e-5 * expected);
}

// The prompt of a decoder predicts what stands behind an empty source.
TEST(AdaptedModel, APromptPredictsTheFirstLabelOfAnEmptySource) {
  const AdaptedModel model(tiny_parts("llama-gqa-tied"));
  const std::vector<Example> examples = {{0, {}, {7, 9, 1}}, {1, {4, 5}, {6}}};
  const Batch batch = collate(model.rules(), examples, Purpose::answering);
  EXPECT_EQ(batch.label_token[0].item<int64_t>(), -1);
  const at::Tensor nll = model.token_nll(batch);
  const TextModel& backbone = model.text_model();
  Ragged prompt;
  prompt.append(3, 0);
  prompt.position = at::arange(3, at::kLong);
  const at::Tensor hidden = backbone.forward({}, {prompt, model.adapter().whole_prompt()[0]}, nullptr, nullptr);
  const double first = -at::log_softmax(backbone.logits(hidden), 1)[2][7].item<double>();
  EXPECT_NEAR(nll[0].item<double>(), first, 1e-5 * first);
  const std::vector<Ids> labels = {{7, 9, 1}};
  const double score = nll.slice(0, 0, 3).sum().item<double>();
  EXPECT_NEAR(model.label_nll(examples, labels)[0].nll[0], score, 1e-5 * score);
  const Batch alone = collate(model.rules(), std::span(examples).last(1), Purpose::answering);
  EXPECT_NEAR(nll[3].item<double>(), model.token_nll(alone)[0].item<double>(), 1e-6);
  const std::vector<Example> nothing_else = {{0, {}, {7}}};
  EXPECT_NEAR(model.token_nll(collate(model.rules(), nothing_else, Purpose::answering))[0].item<double>(), first, 1e-5 * first);
  EXPECT_THROW(collate(model.rules(), examples), Error);

  ModelParts parts = tiny_parts("llama-gqa-tied");
  parts.weights.input = no_adapter(parts.backbone->info().hidden);
  EXPECT_THROW(AdaptedModel(std::move(parts)).token_nll(batch), Error) << "nothing stands in front of the first label";
}

TEST(AdaptedModel, RefusesPartsThatDoNotAgree) {
  const auto refused = [](auto change) {
    ModelParts parts = tiny_parts("llama-gqa-tied");
    change(parts);
    EXPECT_THROW(AdaptedModel(std::move(parts)), Error);
  };
  refused([](ModelParts& parts) { parts.backbone = nullptr; });
  refused([](ModelParts& parts) { parts.weights.input = nullptr; });
  refused([](ModelParts& parts) { parts.weights.input = no_adapter(31); });
  refused([](ModelParts& parts) { parts.rules.architecture = Architecture::encoder_decoder; });
  refused([](ModelParts& parts) { parts.rules.head = true; });
}

TEST_P(AdaptedModelOf, LabelsScoreWhatTheirLossSays) {
  const AdaptedModel model(tiny_parts(GetParam()));
  std::vector<Example> examples = random_examples(4, 8);
  const std::vector<Ids> labels = {{5, 1}, {7, 9, 1}, {3}};
  const std::vector<LabelNll> scores = model.label_nll(examples, labels);
  ASSERT_EQ(scores.size(), examples.size());
  for (size_t i = 0; i < examples.size(); ++i)
    for (size_t label = 0; label < labels.size(); ++label) {
      examples[i].target = labels[label];
      const double expected = mean_loss(model, std::span(&examples[i], 1)) * static_cast<double>(labels[label].size());
      EXPECT_NEAR(scores[i].nll[label], expected, 1e-4 * expected) << i << ", " << label;
      EXPECT_EQ(scores[i].tokens[label], static_cast<int64_t>(labels[label].size()));
    }
}

// The loss without any adapter's code: the backbone on the word embeddings alone, log-softmax by ATen.
double loss_of_backbone(const AdaptedModel& model, const Batch& batch) {
  const TextModel& backbone = model.text_model();
  const Stream source{batch.source, backbone.embed(batch.source_ids)};
  Stream target;
  const bool two = model.rules().encoder_decoder();
  if (two) target = {batch.target, backbone.embed(batch.target_ids)};
  const at::Tensor hidden = backbone.forward({}, source, two ? &target : nullptr, nullptr);
  const at::Tensor logits = backbone.logits(hidden.index_select(0, batch.label_token));
  return -at::log_softmax(logits, 1).gather(1, batch.labels.unsqueeze(1)).mean().item<double>();
}

TEST_P(AdaptedModelOf, NoAdapterIsTheModelItself) {
  ModelParts parts = tiny_parts(GetParam());
  parts.weights.input = no_adapter(parts.backbone->info().hidden);
  const AdaptedModel bare(std::move(parts)), zero(tiny_parts(GetParam(), 0));
  dept_weights(zero.weights()).B.zero_();
  const std::vector<Example> examples = random_examples(3, 9);
  const double expected = loss_of_backbone(bare, collate(bare.rules(), examples));
  EXPECT_NEAR(mean_loss(bare, examples), expected, 1e-5 * expected);
  EXPECT_NEAR(mean_loss(zero, examples), expected, 1e-5 * expected);
  EXPECT_GT(std::abs(mean_loss(AdaptedModel(tiny_parts(GetParam())), examples) - expected), 1e-3 * expected);
}

constexpr int64_t pieces = 8;

// Unit directions for a tensor with the gradient g, each within one eighth of its elements: the sign of g there, or +1 where g
// is 0, so that a part of the gradient that is missing shows.
std::vector<at::Tensor> directions(const at::Tensor& gradient) {
  std::vector<at::Tensor> all;
  const at::Tensor sign = at::where(gradient == 0, 1.0, gradient.sign()).flatten();
  const int64_t size = (sign.numel() + pieces - 1) / pieces;
  for (int64_t first = 0; first < sign.numel(); first += size) {
    const int64_t count = std::min(size, sign.numel() - first);
    at::Tensor direction = at::zeros_like(sign);
    direction.narrow(0, first, count).copy_(sign.narrow(0, first, count) / std::sqrt(static_cast<double>(count)));
    all.push_back(direction.view(gradient.sizes()));
  }
  return all;
}

// (loss(w + h v) - loss(w - h v)) / 2h = <g, v> for the gradient g of each tensor and each direction v.
TEST_P(AdaptedModelOf, GradientsPointWhereTheLossGrows) {
  ModelParts parts = tiny_parts(GetParam());
  const std::vector<Example> examples = random_examples(3, 10);
  const Batch batch = collate(parts.rules, examples);
  for (const double smoothing : {0.0, 0.3}) {
    parts.label_smoothing = smoothing;
    const AdaptedModel model(parts);
    Gradients gradients;
    model.loss({}, batch, &gradients);
    const std::vector<Parameter> parameters = model.weights().parameters();
    for (size_t i = 0; i < parameters.size(); ++i) {
      const at::Tensor weight = parameters[i].value, before = weight.clone(), gradient = gradients.at(i);
      const double norm = gradient.norm().item<double>(), h = 3e-3;
      for (const at::Tensor& direction : directions(gradient)) {
        weight.copy_(before + h * direction);
        const double above = model.loss({}, batch).nll[0].item<double>();
        weight.copy_(before - h * direction);
        const double below = model.loss({}, batch).nll[0].item<double>();
        EXPECT_NEAR((above - below) / (2 * h), (gradient * direction).sum().item<double>(), 0.02 * norm)
            << parameters[i].name << " smoothing " << smoothing;
      }
      weight.copy_(before);
    }
  }
}

TEST(Classifier, CountsExamplesAndEvaluatesEachAsAlone) {
  const AdaptedModel model(tiny_classifier("llama-gqa-tied", 3, Pooling::last));
  const std::vector<Example> examples = random_examples(5, 7);
  const Batch batch = collate(model.rules(), examples);
  const BatchLoss whole = model.loss({}, batch);
  const at::Tensor logits = model.head_logits(batch);
  EXPECT_EQ(whole.tokens[0].item<double>(), 5);
  EXPECT_NEAR(head_loss(logits, batch.values).sum().item<double>(), whole.nll[0].item<double>(), 1e-5);
  for (size_t i = 0; i < examples.size(); ++i) {
    const Batch one = collate(model.rules(), std::span(&examples[i], 1));
    EXPECT_LT((model.head_logits(one)[0] - logits[i]).abs().max().item<double>(), 1e-5);
  }
}

TEST(LabelShares, AreASoftmax) {
  const std::vector<double> shares = label_shares({1000, 1000 + std::log(3.0)});
  EXPECT_NEAR(shares[0], 0.75, 1e-12);
  EXPECT_NEAR(shares[1], 0.25, 1e-12);
}

}  // namespace
}  // namespace dept
