// Batches of one bucket look alike to a recorded step, and so does the one that it is recorded for.
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/max.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "models/bucket.h"

namespace dept {
namespace {

constexpr GraphOptions steps_of_a_test{.tokens = 32, .longest = 8};

Ragged batch_of(const std::vector<int64_t>& lengths, const std::vector<int64_t>& prefix = {}) {
  Ragged tokens;
  std::vector<at::Tensor> positions;
  for (size_t b = 0; b < lengths.size(); ++b) {
    tokens.append(lengths[b], static_cast<int64_t>(b), 0, prefix.empty() ? -1 : prefix[b]);
    positions.push_back(at::arange(lengths[b], at::kLong));
  }
  tokens.position = at::cat(positions);
  return tokens;
}

std::optional<Bucket> bucket(const Ragged& source) {
  return bucket_of({}, source, nullptr, steps_of_a_test);
}

void expect_shape(const Ragged& tokens, const Bucket::Part& part) {
  tokens.check();
  EXPECT_EQ(tokens.tokens(), part.tokens);
  EXPECT_EQ(tokens.batch(), part.batch() + part.fillers);
  EXPECT_LT(at::max(tokens.position).item<int64_t>(), part.reach);
  int64_t longest = 0, shortest = part.tokens;
  for (int64_t b = 0; b < tokens.batch(); ++b) {
    shortest = std::min(shortest, tokens.length(b));
    const bool named = std::find(tokens.prefix.begin(), tokens.prefix.end(), b) != tokens.prefix.end();
    longest = std::max(longest, named ? 0 : tokens.length(b));
    EXPECT_TRUE(!named || tokens.length(b) == part.prefix_length);
  }
  EXPECT_LE(longest, part.longest);
  EXPECT_GE(shortest, 1);
}

TEST(Bucket, FillsUpItsBatches) {
  const Ragged few = batch_of({3, 8, 1, 5}), more = batch_of({7, 2, 2, 4});
  ASSERT_TRUE(bucket(few).has_value());
  EXPECT_EQ(bucket(few), bucket(more));
  const Bucket::Part part = bucket(few)->source;
  EXPECT_EQ(part.longest, 8);
  EXPECT_EQ(part.tokens, 32);
  for (const Ragged& tokens : {few, more}) {
    const Ragged full = filled_up(tokens, part, BatchPart::source);
    expect_shape(full, part);
    EXPECT_TRUE(std::equal(tokens.offsets.begin(), tokens.offsets.end(), full.offsets.begin())) << "its own tokens are the first";
  }
  const Ragged sample = sample_of(part, BatchPart::source);
  expect_shape(sample, part);
  EXPECT_EQ(sample.max_length(), 8) << "as long as may be";
  EXPECT_EQ(at::max(sample.position).item<int64_t>(), part.reach - 1);
}

TEST(Bucket, OfTextsBehindAPrompt) {
  const Ragged tokens = batch_of({20, 3, 5, 9}, {-1, 0, 0, 0});
  ASSERT_TRUE(bucket(tokens).has_value());
  const Bucket::Part part = bucket(tokens)->source;
  EXPECT_EQ(part.prefix_length, 20);
  EXPECT_EQ(part.longest, 16) << "of the texts";
  expect_shape(filled_up(tokens, part, BatchPart::source), part);
  const Ragged sample = sample_of(part, BatchPart::source);
  expect_shape(sample, part);
  EXPECT_EQ(sample.length(1), 16) << "a text behind the prompt is the longest";
  EXPECT_NE(bucket(batch_of({21, 3, 5, 9}, {-1, 0, 0, 0})), bucket(tokens)) << "another prompt, another bucket";
}

TEST(Bucket, ManyShapesHaveRoom) {
  for (int64_t longest = 1; longest < 40; ++longest)
    for (const int64_t texts : {1, 2, 7}) {
      std::vector<int64_t> lengths(texts, 1);
      lengths.back() = longest;
      const Ragged tokens = batch_of(lengths);
      ASSERT_TRUE(bucket(tokens).has_value()) << longest << ", " << texts;
      const Bucket::Part part = bucket(tokens)->source;
      expect_shape(filled_up(tokens, part, BatchPart::source), part);
      expect_shape(sample_of(part, BatchPart::source), part);
      EXPECT_EQ(sample_of(part, BatchPart::source).max_length(), part.longest);
    }
}

TEST(Bucket, OfSourcesAndTargetsHasAsManyOfBoth) {
  const Ragged source = batch_of({30, 20}), target = batch_of({2, 3});
  const std::optional<Bucket> both = bucket_of({}, source, &target, steps_of_a_test);
  ASSERT_TRUE(both.has_value());
  EXPECT_EQ(both->source.fillers, both->target->fillers);
  expect_shape(filled_up(source, both->source, BatchPart::source), both->source);
  expect_shape(filled_up(target, *both->target, BatchPart::target), *both->target);
}

TEST(Bucket, NoneForWhatIsNotRecorded) {
  EXPECT_FALSE(bucket(batch_of({3, 0, 2})).has_value()) << "an empty sequence";
  EXPECT_FALSE(bucket(batch_of({3, 4, 2, 2}, {-1, -1, 0, 1})).has_value()) << "prompts of two lengths";
  EXPECT_FALSE(bucket(batch_of({3, 4, 2}, {-1, 0, -1})).has_value()) << "some texts without the prompt";
  Ragged images = batch_of({3, 4});
  images.unbiased = {0, 2};
  EXPECT_FALSE(bucket(images).has_value());
  Ragged outside = batch_of({3, 1}, {-1, 0});
  outside.outside = {false, true};
  EXPECT_FALSE(bucket(outside).has_value());
  EXPECT_FALSE(bucket(Ragged()).has_value());
}

}  // namespace
}  // namespace dept
