// The loop's parts against transformers' (values: tests/parity/make/trainer.py).
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include "dept/base/json.h"
#include "dept/data/sampler.h"
#include "dept/kernels/cross_entropy.h"
#include "dept/train/loop.h"
#include "dept/train/tensorboard.h"

namespace dept {
namespace test_trainer {

const Json& golden() {
  static const Json values = read_json(fs::path(DEPT_TEST_DATA) / "parity/data/train/trainer.json");
  return values;
}

TEST(TrainerGolden, LabelSmoothing) {
  const Json& smoothing = golden()["smoothing"];
  std::vector<double> logits;
  std::vector<int64_t> labels, rows;
  for (size_t i = 0; i < smoothing["labels"].size(); ++i) {
    const auto label = smoothing["labels"][i].get<int64_t>();
    if (label < 0) continue;
    labels.push_back(label);
    rows.push_back(static_cast<int64_t>(i));
    for (const Json& x : smoothing["logits"][i]) logits.push_back(x.get<double>());
  }
  const auto n = static_cast<int64_t>(labels.size());
  const at::Tensor x = at::tensor(logits, at::kDouble).view({n, -1});
  for (const Json& one : smoothing["cases"]) {
    at::Tensor d;
    const at::Tensor loss = kernels::cross_entropy(x, at::tensor(labels, at::kLong), &d, one["factor"].get<double>());
    EXPECT_NEAR(loss.mean().item<double>(), one["mean_loss"].get<double>(), 1e-14) << one["factor"];
    EXPECT_NEAR(loss.mean().item<double>(), one["smoother"].get<double>(), 1e-6) << "which sums in fp32";
    for (int64_t i = 0; i < n; ++i)
      for (int64_t v = 0; v < x.size(1); ++v)
        EXPECT_NEAR(d[i][v].item<double>() / static_cast<double>(n), one["gradient"][rows[i]][v].get<double>(), 1e-14)
            << one["factor"];
  }
}

TEST(TrainerGolden, LengthAwareOrder) {
  for (const Json& one : golden()["grouped"]) {
    const auto lengths = one["lengths"].get<std::vector<int64_t>>();
    const std::vector<int64_t> order = seeded_permutation(static_cast<int64_t>(lengths.size()), one["seed"].get<uint64_t>());
    EXPECT_EQ(group_by_length(order, lengths, one["batch"].get<int64_t>()), one["order"].get<std::vector<int64_t>>());
  }
}

TEST(TrainerGolden, EarlyStopping) {
  int stopped = 0;
  for (const Json& one : golden()["early_stopping"]) {
    const bool greater = one["greater"].get<bool>();
    std::optional<double> best;
    int64_t stale = 0, evaluations = 0;
    for (const Json& each : one["values"]) {
      const auto value = each.get<double>();
      stale = stale_evaluations(stale, best, value, greater, one["threshold"].get<double>());
      if (!best || (greater ? value > *best : value < *best)) best = value;
      ++evaluations;
      if (stale >= one["patience"].get<int64_t>()) break;
    }
    if (one["stopped"].is_null()) {
      EXPECT_LT(stale, one["patience"].get<int64_t>()) << one;
    } else {
      EXPECT_EQ(evaluations, one["stopped"].get<int64_t>()) << one;
      ++stopped;
    }
  }
  EXPECT_GE(stopped, 3);
}

TEST(TrainerGolden, ChecksumsOfTensorBoard) {
  for (const Json& one : golden()["checksums"])
    EXPECT_EQ(masked_crc32c(one["text"].get<std::string>()), one["crc"].get<uint32_t>()) << one["text"];
}

}  // namespace test_trainer
}  // namespace dept
