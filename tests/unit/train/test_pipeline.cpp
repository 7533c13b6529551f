#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <cmath>

#include "unit/train/tiny.h"

namespace dept {
namespace {

double mean_loss(const Pipeline& pipeline, std::span<const Example> examples) {
  const BatchLoss loss = pipeline.loss(Context{}, collate(pipeline.rules, examples));
  return (loss.nll / loss.tokens)[0].item<double>();
}

class PipelineOf : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Families, PipelineOf, ::testing::Values("llama-gqa-tied", "t5-v1.0"),
                         [](const auto& name) { return std::string(name.param == "t5-v1.0" ? "t5" : "llama"); });

TEST_P(PipelineOf, SumsCountEveryLabelToken) {
  const Pipeline pipeline = tiny_pipeline(GetParam());
  const std::vector<Example> examples = random_examples(5, 7);
  const BatchLoss whole = pipeline.loss(Context{}, collate(pipeline.rules, examples));
  double nll = 0, tokens = 0, targets = 0;
  for (const Example& example : examples) {
    const BatchLoss one = pipeline.loss(Context{}, collate(pipeline.rules, std::span(&example, 1)));
    nll += one.nll[0].item<double>();
    tokens += one.tokens[0].item<double>();
    targets += static_cast<double>(example.target.size());
  }
  EXPECT_NEAR(whole.nll[0].item<double>(), nll, 1e-4 * nll);
  EXPECT_EQ(whole.tokens[0].item<double>(), tokens);
  EXPECT_EQ(tokens, targets);
}

TEST_P(PipelineOf, LabelsScoreWhatTheirLossSays) {
  const Pipeline pipeline = tiny_pipeline(GetParam());
  std::vector<Example> examples = random_examples(4, 8);
  const std::vector<Ids> labels = {{5, 1}, {7, 9, 1}, {3}};
  const std::vector<LabelNll> scores = pipeline.label_nll(Context{}, examples, labels);
  ASSERT_EQ(scores.size(), examples.size());
  for (size_t i = 0; i < examples.size(); ++i)
    for (size_t label = 0; label < labels.size(); ++label) {
      examples[i].target = labels[label];
      const double expected = mean_loss(pipeline, std::span(&examples[i], 1)) * static_cast<double>(labels[label].size());
      EXPECT_NEAR(scores[i].nll[label], expected, 1e-4 * expected) << i << ", " << label;
      EXPECT_EQ(scores[i].tokens[label], static_cast<int64_t>(labels[label].size()));
    }
}

TEST_P(PipelineOf, NoAdapterIsTheModelItself) {
  Pipeline bare = tiny_pipeline(GetParam()), zero = tiny_pipeline(GetParam(), 0);
  bare.weights = no_adapter(bare.backbone->info().hidden);
  zero.weights.B.zero_();
  const std::vector<Example> examples = random_examples(3, 9);
  EXPECT_EQ(mean_loss(bare, examples), mean_loss(zero, examples));
  EXPECT_NE(mean_loss(bare, examples), mean_loss(tiny_pipeline(GetParam()), examples));
  EXPECT_EQ(bare.label_nll(Context{}, examples, std::vector<Ids>{{4, 1}}).size(), 3u);
}

// (loss(w + h g) - loss(w - h g)) / 2h = |g|^2 for the gradient g of each tensor.
TEST_P(PipelineOf, GradientsPointWhereTheLossGrows) {
  Pipeline pipeline = tiny_pipeline(GetParam());
  const std::vector<Example> examples = random_examples(3, 10);
  const Batch batch = collate(pipeline.rules, examples);
  for (const double smoothing : {0.0, 0.3}) {
    pipeline.label_smoothing = smoothing;
    AdapterWeights gradients;
    pipeline.loss(Context{}, batch, &gradients);
    for (const AdapterMember& member : adapter_members(HeadForm::none)) {
      at::Tensor& weight = pipeline.weights.*member.tensor;
      const at::Tensor before = weight.clone(), gradient = gradients.*member.tensor;
      const double square = (gradient * gradient).sum().item<double>(), h = 3e-3 / std::sqrt(square);
      weight = before + h * gradient;
      const double above = pipeline.loss(Context{}, batch).nll[0].item<double>();
      weight = before - h * gradient;
      const double below = pipeline.loss(Context{}, batch).nll[0].item<double>();
      weight = before;
      EXPECT_NEAR((above - below) / (2 * h), square, 0.02 * square) << member.name << " smoothing " << smoothing;
    }
  }
}

TEST(Classifier, CountsExamplesAndJudgesEachAsAlone) {
  const Pipeline pipeline = tiny_classifier("llama-gqa-tied", 3, Pooling::last);
  const std::vector<Example> examples = random_examples(5, 7);
  const Batch batch = collate(pipeline.rules, examples);
  const BatchLoss whole = pipeline.loss(Context{}, batch);
  const at::Tensor logits = pipeline.head_logits(Context{}, batch);
  EXPECT_EQ(whole.tokens[0].item<double>(), 5);
  EXPECT_NEAR(head_loss(logits, batch.values).sum().item<double>(), whole.nll[0].item<double>(), 1e-5);
  for (size_t i = 0; i < examples.size(); ++i) {
    const Batch one = collate(pipeline.rules, std::span(&examples[i], 1));
    EXPECT_LT((pipeline.head_logits(Context{}, one)[0] - logits[i]).abs().max().item<double>(), 1e-5);
  }
}

TEST(LabelShares, AreASoftmax) {
  const std::vector<double> shares = label_shares({1000, 1000 + std::log(3.0)});
  EXPECT_NEAR(shares[0], 0.75, 1e-12);
  EXPECT_NEAR(shares[1], 0.25, 1e-12);
}

}  // namespace
}  // namespace dept
