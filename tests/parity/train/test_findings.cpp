#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include "dept/base/json.h"
#include "dept/train/findings.h"
#include "unit/train/tiny.h"

namespace dept {
namespace {

// [1, rows, columns], as the weights of one configuration.
at::Tensor matrix(const Json& rows) {
  std::vector<float> values;
  for (const Json& row : rows)
    for (const Json& value : row) values.push_back(value.get<float>());
  return at::tensor(values).view({1, static_cast<int64_t>(rows.size()), -1});
}

TEST(FindingsParity, EqualNumpyAndTokenizers) {
  const Json golden = read_json(DEPT_TEST_DATA "/parity/data/train/findings.json");
  ModelParts parts = tiny_parts("llama-gqa-tied");
  parts.tokenizer = load_tokenizer(DEPT_TEST_DATA "/recipe/tiny/tokenizer.json");
  const DeptWeights weights{matrix(golden["P"]), matrix(golden["A"]), matrix(golden["B"])};
  parts.weights = dept_alone(weights, golden["scale"].get<double>() * std::sqrt(static_cast<double>(weights.A.size(2))));
  const OrderedJson found = training_findings(AdaptedModel(std::move(parts)), 42);
  EXPECT_EQ(found["parameters"], 42);
  EXPECT_GT(found["peak_memory_bytes"].get<int64_t>(), 1'000'000);
  ASSERT_EQ(found["prompt"].size(), golden["prompt"].size());
  for (size_t i = 0; i < golden["prompt"].size(); ++i) {
    const OrderedJson& vector = found["prompt"][i];
    const Json& expected = golden["prompt"][i];
    EXPECT_EQ(vector["vector"], std::to_string(i));
    EXPECT_NEAR(vector["norm"].get<double>(), expected["norm"].get<double>(), 1e-5);
    ASSERT_EQ(vector["nearest"].size(), 5u);
    for (size_t k = 0; k < 5; ++k) {
      EXPECT_EQ(vector["nearest"][k]["word"].get<std::string>(), expected["nearest"][k]["word"].get<std::string>());
      EXPECT_NEAR(vector["nearest"][k]["cosine"].get<double>(), expected["nearest"][k]["cosine"].get<double>(), 1e-6);
    }
  }
  ASSERT_EQ(found["delta_norms"].size(), golden["delta_norms"].size());
  for (size_t i = 0; i < golden["delta_norms"].size(); ++i)
    EXPECT_NEAR(found["delta_norms"][i].get<double>(), golden["delta_norms"][i].get<double>(), 1e-5);
}

TEST(FindingsParity, APromptAloneHasNoRows) {
  ModelParts parts = tiny_parts("llama-gqa-tied", 4, 12, 0);
  parts.tokenizer = load_tokenizer(DEPT_TEST_DATA "/recipe/tiny/tokenizer.json");
  parts.weights.input = dept_adapter(dept_weights(parts.weights), 8, 2);
  const OrderedJson found = training_findings(AdaptedModel(std::move(parts)), 1);
  EXPECT_FALSE(found.contains("delta_norms"));
  EXPECT_EQ(found["prompt"][1]["vector"], "1");
  EXPECT_EQ(found["prompt"][2]["vector"], "decoder 0");
}

}  // namespace
}  // namespace dept
