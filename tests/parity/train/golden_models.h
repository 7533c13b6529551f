// What the tests of adapters on whole models share: golden values of one model, batches, and how near a value has to be.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "dept/base/json.h"
#include "dept/tensorio/tensor_source.h"
#include "dept/train/model_parts.h"

namespace dept {

class GoldenModel {
 protected:
  /// "fp32" or "fp64", as golden values are named.
  void set_dtype(at::ScalarType dtype, double fp32_tolerance) {
    kind_ = dtype == at::kDouble ? "fp64" : "fp32";
    tolerance_ = dtype == at::kDouble ? 1e-9 : fp32_tolerance;
    context_.compute = dtype;
  }

  /// Examples with a target or, of a head, a label.
  std::vector<Example> batch(size_t number) const {
    std::vector<Example> examples;
    for (const Json& one : golden_["batches"][number]) {
      Example& example = examples.emplace_back();
      example.index = static_cast<int64_t>(examples.size()) - 1;
      example.source = one["source"].get<Ids>();
      if (one.contains("target")) example.target = one["target"].get<Ids>();
      if (one.contains("label")) example.value = one["label"].get<double>();
    }
    return examples;
  }

  void expect_near(double got, double want, const std::string& what) const {
    EXPECT_LE(std::abs(got - want) / std::abs(want), tolerance_) << what << ": " << got << ", not " << want;
  }
  void expect_near(const at::Tensor& got, const at::Tensor& want, const std::string& what) const {
    ASSERT_EQ(got.sizes(), want.sizes()) << what;
    EXPECT_LE(((got - want).abs().max() / want.abs().max()).item<double>(), tolerance_) << what;
  }

  AdaptedModel model() const { return AdaptedModel(parts_); }

  ModelContext context_;
  std::string kind_;
  double tolerance_ = 0;
  Json golden_;
  std::unique_ptr<TensorSource> tensors_;
  ModelParts parts_;
};

}  // namespace dept
