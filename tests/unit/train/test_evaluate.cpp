#include <gtest/gtest.h>

#include "dept/train/evaluate.h"
#include "unit/train/tiny_run.h"

namespace dept {
namespace {

double loss_of(const TinyRun& run, std::span<const Example> batch) {
  const BatchLoss loss = run.model.loss({}, collate(run.model.rules(), batch, Purpose::judging));
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
