#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include "dept/base/error.h"
#include "dept/data/batch.h"

namespace dept {
namespace {

using Vector = std::vector<int64_t>;

Vector values(const at::Tensor& tensor) {
  const int64_t* data = tensor.const_data_ptr<int64_t>();
  return {data, data + tensor.numel()};
}

const std::vector<Example> examples{{7, {11, 12, 13}, {21, 22}}, {3, {14}, {23}}, {9, {15, 16}, {24, 25, 26}}};

TEST(Collate, EncoderDecoderShiftsTheTargetRight) {
  const Batch batch = collate_encoder_decoder(examples, 0);
  batch.source.check();
  batch.target.check();
  EXPECT_EQ(batch.source.offsets, (Vector{0, 3, 4, 6}));
  EXPECT_EQ(values(batch.source_ids), (Vector{11, 12, 13, 14, 15, 16}));
  EXPECT_EQ(values(batch.source.position), (Vector{0, 1, 2, 0, 0, 1}));
  EXPECT_EQ(values(batch.source.row), (Vector{0, 1, 2, 0, 0, 1}));
  EXPECT_EQ(batch.source.example, (Vector{7, 3, 9}));
  EXPECT_EQ(batch.source.config, (Vector{0, 0, 0}));
  EXPECT_EQ(batch.source.prefix, (Vector{-1, -1, -1}));
  EXPECT_EQ(batch.target.offsets, (Vector{0, 2, 3, 6}));
  EXPECT_EQ(values(batch.target_ids), (Vector{0, 21, 0, 0, 24, 25}));
  EXPECT_EQ(values(batch.target.position), (Vector{0, 1, 0, 0, 1, 2}));
  EXPECT_EQ(values(batch.target.row), (Vector{-1, -1, -1, -1, -1, -1}));
  EXPECT_EQ(values(batch.label_token), (Vector{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(values(batch.labels), (Vector{21, 22, 23, 24, 25, 26}));
  EXPECT_EQ(batch.label_sequence, (Vector{0, 0, 1, 2, 2, 2}));
}

TEST(Collate, DecoderOnlyPredictsFromTheTokenBefore) {
  const Batch batch = collate_decoder_only(examples, DeltaAlignment::end, 4);
  batch.source.check();
  EXPECT_EQ(batch.source.offsets, (Vector{0, 4, 5, 9}));
  EXPECT_EQ(values(batch.source_ids), (Vector{11, 12, 13, 21, 14, 15, 16, 24, 25}));
  EXPECT_EQ(values(batch.source.position), (Vector{0, 1, 2, 3, 0, 0, 1, 2, 3}));
  EXPECT_EQ(values(batch.source.row), (Vector{1, 2, 3, -1, 3, 2, 3, -1, -1}));
  EXPECT_EQ(batch.target.batch(), 0);
  EXPECT_EQ(batch.target_ids.numel(), 0);
  EXPECT_EQ(values(batch.label_token), (Vector{2, 3, 4, 6, 7, 8}));
  EXPECT_EQ(values(batch.labels), (Vector{21, 22, 23, 24, 25, 26}));
  EXPECT_EQ(batch.label_sequence, (Vector{0, 0, 1, 2, 2, 2}));
}

// Two visual tokens of the first example and of the last: behind the text, out of the relative bias, without a row of A·B.
TEST(Collate, EncoderDecoderReadsAnImageBehindTheText) {
  std::vector<Example> seen = examples;
  seen[0].visual = seen[2].visual = 2;
  const Batch batch = collate_encoder_decoder(seen, 0);
  batch.source.check();
  EXPECT_EQ(batch.source.offsets, (Vector{0, 5, 6, 10}));
  EXPECT_EQ(values(batch.source_ids), (Vector{11, 12, 13, 0, 0, 14, 15, 16, 0, 0}));
  EXPECT_EQ(values(batch.source.row), (Vector{0, 1, 2, -1, -1, 0, 0, 1, -1, -1}));
  EXPECT_EQ(batch.source.unbiased, (Vector{2, 0, 2}));
  EXPECT_EQ(values(batch.visual.token), (Vector{3, 4, 8, 9}));
  EXPECT_EQ(values(batch.visual.place), (Vector{0, 1, 0, 1}));
  EXPECT_EQ(values(batch.target_ids), (Vector{0, 21, 0, 0, 24, 25}));
  EXPECT_FALSE(batch.score.defined());
}

TEST(Collate, DecoderOnlyReadsAnImageInFrontOfTheText) {
  std::vector<Example> seen = examples;
  seen[1].visual = 3;
  const Batch batch = collate_decoder_only(seen, DeltaAlignment::end, 4);
  batch.source.check();
  EXPECT_EQ(batch.source.offsets, (Vector{0, 4, 8, 12}));
  EXPECT_EQ(values(batch.source_ids), (Vector{11, 12, 13, 21, 0, 0, 0, 14, 15, 16, 24, 25}));
  EXPECT_EQ(values(batch.source.position), (Vector{0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3}));
  EXPECT_EQ(values(batch.source.row), (Vector{1, 2, 3, -1, -1, -1, -1, 3, 2, 3, -1, -1}));
  EXPECT_TRUE(batch.source.unbiased.empty());
  EXPECT_EQ(values(batch.visual.token), (Vector{4, 5, 6}));
  EXPECT_EQ(values(batch.label_token), (Vector{2, 3, 7, 9, 10, 11}));
}

TEST(Collate, ScoresOfDrawnTargetsAreTheExamples) {
  std::vector<Example> drawn = examples;
  drawn[1].score = 0.3;
  const Batch batch = collate_decoder_only(drawn, DeltaAlignment::end, 4);
  ASSERT_EQ(batch.score.numel(), 3);
  EXPECT_EQ(batch.score[0].item<double>(), 1);
  EXPECT_EQ(batch.score[1].item<double>(), 0.3);
}

TEST(Collate, DecoderOnlyFromTheStart) {
  const Batch batch = collate_decoder_only(examples, DeltaAlignment::start, 4);
  EXPECT_EQ(values(batch.source.row), (Vector{0, 1, 2, -1, 0, 0, 1, -1, -1}));
}

// Six places: the first example fills five, the last loses an answer's token.
TEST(Collate, OriginalTrainingPlacesSourceAndTargetAtTheRight) {
  const std::vector<Example> placed{{7, {11, 12, 13}, {21, 22}}, {9, {15, 16, 17, 18}, {24, 25, 26}}};
  const Batch batch = collate_original_training(placed, 6);
  batch.source.check();
  EXPECT_EQ(batch.source.offsets, (Vector{0, 4, 9}));
  EXPECT_EQ(values(batch.source_ids), (Vector{11, 12, 13, 21, 15, 16, 17, 18, 24}));
  EXPECT_EQ(values(batch.source.position), (Vector{1, 2, 3, 4, 0, 1, 2, 3, 4}));
  EXPECT_EQ(values(batch.source.row), values(batch.source.position));
  EXPECT_EQ(values(batch.label_token), (Vector{2, 3, 7, 8}));
  EXPECT_EQ(values(batch.labels), (Vector{21, 22, 24, 25}));
  EXPECT_EQ(batch.label_sequence, (Vector{0, 0, 1, 1}));
  EXPECT_EQ(collate_original_training(placed, 3).labels.numel(), 0) << "the answer goes first";
}

TEST(Collate, OriginalEvaluationHoldsTheTargetAgainstTheSourcesEnd) {
  const Batch batch = collate_original_evaluating(examples, 4, 9);
  batch.source.check();
  EXPECT_EQ(values(batch.source_ids), (Vector{11, 12, 13, 14, 9, 15, 16})) << "a pad predicts the last one's first label";
  EXPECT_EQ(values(batch.source.position), (Vector{1, 2, 3, 3, 1, 2, 3}));
  EXPECT_EQ(batch.source.outside, (std::vector<bool>{false, false, true, false}));
  EXPECT_EQ(values(batch.source.row), values(batch.source.position));
  EXPECT_EQ(values(batch.label_token), (Vector{1, 4, 5}));
  EXPECT_EQ(values(batch.labels), (Vector{21, 24, 25}));
  EXPECT_EQ(batch.label_sequence, (Vector{0, 2, 3}));
  const std::vector<Example> full{{0, {1, 2}, {3, 4, 5}}};
  EXPECT_EQ(values(collate_original_evaluating(full, 2, 9).label_token), (Vector{-1, 0})) << "the prompt predicts the first";
}

TEST(Collate, WithoutTargetsThereAreNoLabels) {
  const std::vector<Example> open{{0, {1, 2}, {}}, {1, {}, {}}};
  const Batch causal = collate_decoder_only(open, DeltaAlignment::end, 2);
  EXPECT_EQ(causal.source.offsets, (Vector{0, 2, 2}));
  EXPECT_EQ(causal.labels.numel(), 0);
  const Batch encoder = collate_encoder_decoder(open, 0);
  EXPECT_EQ(encoder.target.offsets, (Vector{0, 0, 0}));
  EXPECT_EQ(encoder.labels.numel(), 0);
  EXPECT_EQ(collate_encoder_decoder({}, 0).source.batch(), 0);
}

TEST(Collate, APromptMayPredictWhatAnEmptySourceHasBehindIt) {
  const std::vector<Example> examples = {{0, {5}, {6, 7}}, {1, {}, {8, 9}}};
  const Batch batch = collate_decoder_only(examples, DeltaAlignment::start, 4, true);
  EXPECT_TRUE(batch.source_ids.equal(at::tensor({5L, 6L, 8L})));
  EXPECT_TRUE(batch.labels.equal(at::tensor({6L, 7L, 8L, 9L})));
  EXPECT_TRUE(batch.label_token.equal(at::tensor({0L, 1L, -1L, 2L})));
}

TEST(Collate, RefusesSourcesThatDoNotFit) {
  EXPECT_THROW(collate_decoder_only(examples, DeltaAlignment::start, 2), Error);
  const std::vector<Example> nothing_to_predict_from{{0, {}, {5}}};
  EXPECT_THROW(collate_decoder_only(nothing_to_predict_from, DeltaAlignment::end, 4), Error);
}

TEST(Collate, ClassifiedHoldsSourcesAndValues) {
  std::vector<Example> evaluated = examples;
  evaluated[1].value = 2;
  evaluated[2].value = 0.5;
  const Batch batch = collate_classified(evaluated, DeltaAlignment::end, 4);
  batch.source.check();
  EXPECT_EQ(batch.source.offsets, (Vector{0, 3, 4, 6}));
  EXPECT_EQ(values(batch.source_ids), (Vector{11, 12, 13, 14, 15, 16}));
  EXPECT_EQ(values(batch.source.position), (Vector{0, 1, 2, 0, 0, 1}));
  EXPECT_EQ(values(batch.source.row), (Vector{1, 2, 3, 3, 2, 3}));
  EXPECT_EQ(values(collate_classified(evaluated, DeltaAlignment::start, 4).source.row), (Vector{0, 1, 2, 0, 0, 1}));
  EXPECT_TRUE(batch.values.equal(at::tensor({0.0, 2.0, 0.5}, at::kDouble)));
  EXPECT_THROW(collate_classified(evaluated, DeltaAlignment::start, 2), Error);
  evaluated[0].source.clear();
  EXPECT_THROW(collate_classified(evaluated, DeltaAlignment::start, 4), Error);
}

}  // namespace
}  // namespace dept
