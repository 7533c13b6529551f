// Class weights of a head's loss against PyTorch and scikit-learn (tests/parity/make/class_weights.py).
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dept/base/json.h"
#include "dept/train/class_weights.h"
#include "dept/train/step.h"
#include "unit/base/scratch.h"
#include "unit/train/tiny.h"

namespace dept {
namespace test_class_weights {

using Numbers = std::vector<double>;
using ::testing::AllOf;
using ::testing::HasSubstr;

const Json& golden() {
  static const Json json = read_json(DEPT_TEST_DATA "/parity/data/train/class_weights.json");
  return json;
}

void expect_near(const at::Tensor& got, const Numbers& expected) {
  EXPECT_LE((got - at::tensor(expected, at::kDouble)).abs().max().item<double>(), 1e-12);
}

TEST(ClassWeights, LossesAndGradientsEqualPyTorchs) {
  for (const Json& one : golden()["losses"]) {
    Numbers flat, d_flat;
    for (const Json& row : one["logits"]) flat.insert(flat.end(), row.begin(), row.end());
    for (const Json& row : one["d_logits"]) d_flat.insert(d_flat.end(), row.begin(), row.end());
    const auto weights = one["weights"].get<Numbers>();
    const at::Tensor logits = at::tensor(flat, at::kDouble).view({-1, static_cast<int64_t>(weights.size())});
    const at::Tensor values = at::tensor(one["labels"].get<Numbers>(), at::kDouble), w = at::tensor(weights, at::kDouble);
    at::Tensor d;
    const at::Tensor each = head_loss(logits, values, &d, one["smoothing"].get<double>(), w);
    const double sum = example_weights(values, w).sum().item<double>();
    expect_near(each, one["each"].get<Numbers>());
    EXPECT_NEAR(each.sum().item<double>() / sum, one["mean"].get<double>(), 1e-12);
    expect_near(d.flatten() / sum, d_flat);
  }
  EXPECT_THROW(head_loss(at::zeros({1, 2}, at::kDouble), at::tensor({2.0}, at::kDouble), nullptr, 0, at::ones({2}, at::kDouble)),
               Error);
}

TaskData task_of(const std::vector<std::string>& labels, const std::vector<std::string>& rows) {
  TaskData task;
  task.labels = task.label_words = labels;
  for (const std::string& row : rows) task.train.push_back({0, "text", row});
  return task;
}

TEST(ClassWeights, BalancedEqualsScikitLearns) {
  for (const Json& one : golden()["balanced"])
    expect_near(class_weights("balanced", task_of(one["labels"].get<std::vector<std::string>>(),
                                                  one["rows"].get<std::vector<std::string>>())),
                one["weights"].get<Numbers>());
  EXPECT_THAT(error_of(Code::bad_input,
                       [] {
                         class_weights("balanced", task_of({"a", "b"}, {"a", "a"}));
                       }),
              HasSubstr("none of \"b\""));
  EXPECT_FALSE(class_weights("", task_of({"a", "b"}, {"a"})).defined());
  EXPECT_THAT(error_of(Code::usage, [] { class_weights("balanced", task_of({}, {"1.5"})); }), HasSubstr("a task with labels"));
}

TEST(ClassWeights, OfAFile) {
  const Scratch scratch;
  const auto weights = [&](const std::string& json) {
    return class_weights(scratch.write("w.json", json).string(), task_of({"a", "b"}, {"a"}));
  };
  const auto refusal = [&](const std::string& json) { return error_of(Code::bad_input, [&] { weights(json); }); };
  expect_near(weights(R"({"b": 3, "a": 0.5})"), {0.5, 3});
  EXPECT_THAT(refusal(R"({"a": 1})"), AllOf(HasSubstr("w.json"), HasSubstr("none for \"b\"")));
  EXPECT_THAT(refusal(R"({"a": 1, "b": 1, "c": 1})"), HasSubstr("received \"c\""));
  EXPECT_THAT(refusal(R"({"a": 1, "b": -1})"), HasSubstr("w.json: b] expected a weight of 0 or more"));
  EXPECT_THAT(refusal(R"({"a": 1, "b": "2"})"), HasSubstr("w.json: b"));
  EXPECT_THAT(refusal(R"({"a": 0, "b": 0})"), HasSubstr("a weight above 0"));
  EXPECT_THAT(refusal("[1, 2]"), HasSubstr("an object"));
  error_of(Code::io, [] { check_class_weights("nowhere.json"); });
}

// The mean divides by the sum of the weights, however small: weights that are all alike change nothing.
TEST(ClassWeights, AStepDividesByTheirSum) {
  const std::vector<Example> examples = random_examples(6, 7);
  const auto loss_after_a_step = [&](const at::Tensor& weights) {
    ModelParts parts = tiny_classifier("llama-gqa-tied", 3, Pooling::last);
    parts.class_weights = weights;
    AdaptedModel model(std::move(parts));
    Step step({}, model, {}, 1e9, 1);
    step.accumulate(examples);
    const double first = step.update({{0.1, 0.1, 0.1}})[0].item<double>();
    step.accumulate(examples);
    return Numbers{first, step.update({{0.1, 0.1, 0.1}})[0].item<double>()};
  };
  const Numbers plain = loss_after_a_step({}), alike = loss_after_a_step(at::tensor({0.01, 0.01, 0.01}, at::kDouble)),
                other = loss_after_a_step(at::tensor({0.01, 0.5, 2.0}, at::kDouble));
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_NEAR(alike[i], plain[i], 1e-4 * plain[i]);
    EXPECT_GT(std::abs(other[i] - plain[i]), 1e-3);
  }
}

}  // namespace test_class_weights
}  // namespace dept
