#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <limits>

#include "dept/base/error.h"
#include "dept/train/step.h"
#include "support/dept_adapter.h"

namespace dept {
namespace {

TEST(Step, RefusesGradientsThatAreNotFiniteBeforeAnythingMoves) {
  ModelParts parts;
  parts.backbone = load_backbone(DEPT_TEST_DATA "/parity/data/models/llama-gqa-tied", {});
  const int64_t D = parts.backbone->info().hidden;
  parts.rules.max_source = 4;
  const DeptWeights weights{at::full({1, 2, D}, 0.1), at::full({1, 4, 1}, 0.1), at::zeros({1, 1, D})};
  parts.weights = dept_alone(weights, std::numeric_limits<double>::infinity());  // A·B = inf * 0
  const at::Tensor before = weights.P.clone();
  AdaptedModel model(std::move(parts));
  Step step({}, model, {}, 1.0, 1);
  const std::vector<Example> examples{{0, {5, 6, 7}, {8}}};
  step.accumulate(examples);
  EXPECT_THROW(step.update({{0.1, 0.1}}), Error);
  EXPECT_TRUE(at::equal(weights.P, before));
}

}  // namespace
}  // namespace dept
