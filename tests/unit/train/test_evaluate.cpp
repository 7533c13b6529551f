#include <gtest/gtest.h>

#include <memory>

#include "dept/adapter/stack.h"
#include "dept/train/evaluate.h"
#include "unit/train/tiny_run.h"

namespace dept {
namespace {

double loss_of(const TinyRun& run, std::span<const Example> batch) {
  const BatchLoss loss = run.model.loss({}, collate(run.model.rules(), batch, Purpose::evaluating));
  return loss.nll.sum().item<double>() / loss.tokens.sum().item<double>();
}

class EvaluationBy : public testing::TestWithParam<PredictBy> {};

TEST_P(EvaluationBy, WeighsTheLossOfEachBatchByItsExamples) {
  TinyRun run("unused", 11, GetParam() == PredictBy::head);
  run.rules.by = GetParam();
  run.rules.batch_size = 4;
  run.task.metrics.clear();
  if (GetParam() == PredictBy::nothing) run.train.examples = random_examples(11, 5);  // with labels of different lengths
  const std::span<const Example> all = run.train.examples;
  const double expected =
      (4 * loss_of(run, all.subspan(0, 4)) + 4 * loss_of(run, all.subspan(4, 4)) + 3 * loss_of(run, all.subspan(8))) / 11;
  const Evaluation result = evaluate(run.model, run.rules, run.task, run.train.texts, all, "evaluate");
  EXPECT_NEAR(result.loss, expected, 1e-6 * expected);
  EXPECT_EQ(result.predictions.size(), GetParam() == PredictBy::nothing ? 0 : all.size());
}

TEST_P(EvaluationBy, OfAStackIsThatOfEach) {
  std::vector<std::unique_ptr<TinyRun>> runs;
  std::vector<const AdapterWeights*> weights;
  for (int k = 0; k < 3; ++k) {
    TinyRun& run = *runs.emplace_back(std::make_unique<TinyRun>("unused", 11, GetParam() == PredictBy::head));
    run.rules.by = GetParam();
    run.rules.batch_size = 4;
    run.model.weights().parameters()[0].value.mul_(1 + 2 * k);
    weights.push_back(&run.model.weights());
  }
  const TinyRun& first = *runs.front();
  std::vector<Evaluation> expected;
  for (const auto& run : runs)
    expected.push_back(evaluate(run->model, run->rules, run->task, first.train.texts, first.train.examples, "evaluate"));
  ModelParts parts = first.model.parts();
  parts.weights = stack_weights(weights);
  const std::vector<Evaluation> received = evaluate_stack(AdaptedModel(std::move(parts)), first.rules, first.task,
                                                          first.train.texts, first.train.examples, "evaluate");
  ASSERT_EQ(received.size(), expected.size());
  EXPECT_GT(std::abs(expected[2].loss - expected[0].loss), 1e-3);
  for (size_t k = 0; k < expected.size(); ++k) {
    EXPECT_NEAR(received[k].loss, expected[k].loss, 1e-6 * expected[k].loss);
    EXPECT_EQ(received[k].predictions, expected[k].predictions);
    EXPECT_EQ(received[k].targets, expected[k].targets);
    EXPECT_EQ(received[k].metrics, expected[k].metrics);
    EXPECT_EQ(received[k].scores.size(), expected[k].scores.size());
  }
}

INSTANTIATE_TEST_SUITE_P(Each, EvaluationBy, testing::Values(PredictBy::nothing, PredictBy::score, PredictBy::head));

TEST(Predict, JoinsBatchesWithoutATrace) {
  const TinyRun run("unused");
  const std::vector<Example> examples = random_examples(700, 6);  // with the labels' tokens more than one full batch
  const std::vector<Prediction> together = predict(run.model, run.rules, run.task, examples, false);
  ASSERT_EQ(together.size(), examples.size());
  for (size_t i = 0; i < examples.size(); ++i) {
    const Prediction alone = predict(run.model, run.rules, run.task, std::span(examples).subspan(i, 1), false).at(0);
    EXPECT_EQ(together[i].text, alone.text) << i;
    EXPECT_NEAR(together[i].scores.at(0), alone.scores.at(0), 1e-5) << i;
  }
}

}  // namespace
}  // namespace dept
