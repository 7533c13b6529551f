// What the tests of adapters on whole models share: golden values of one model, batches, and how near a value has to be.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dept/base/json.h"
#include "dept/tensorio/tensor_source.h"
#include "dept/train/model_parts.h"

namespace dept {

/// Golden values and the tiny models that they are of.
inline const fs::path parity_data = fs::path(DEPT_TEST_DATA) / "parity" / "data";

class GoldenModel {
 protected:
  /// The model in a folder, and the golden values of that name.
  void load(const fs::path& folder, const std::string& golden, at::ScalarType dtype, double fp32_tolerance) {
    kind_ = dtype == at::kDouble ? "fp64" : "fp32";
    tolerance_ = dtype == at::kDouble ? 1e-9 : fp32_tolerance;
    context_.compute = dtype;
    golden_ = read_json(parity_data / "adapter" / (golden + ".json"));
    tensors_ = open_safetensors(parity_data / "adapter" / (golden + ".safetensors"));
    parts_.backbone = load_backbone(folder, context_);
    parts_.rules.architecture = parts_.backbone->info().architecture;
    parts_.rules.max_source = 16;
  }

  /// A golden tensor in the compute type, K = 1 in front.
  at::Tensor tensor(const std::string& name) const { return tensors_->read(name).to(context_.compute).unsqueeze(0); }
  double golden_loss(const std::string& name) const { return golden_["losses"][kind_][name].get<double>(); }

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

  static double mean(const BatchLoss& loss) { return (loss.nll / loss.tokens).item<double>(); }
  double mean_loss(const AdaptedModel& model, std::span<const Example> examples) const {
    return mean(model.loss({}, collate(model.rules(), examples)));
  }
  /// The same by the scores of labels, of which each example's target is one.
  double mean_label_nll(const std::vector<Example>& examples) const {
    std::vector<Ids> labels;
    for (const Example& example : examples) labels.push_back(example.target);
    const std::vector<LabelNll> scores = model().label_nll(examples, labels);
    double nll = 0, tokens = 0;
    for (size_t i = 0; i < examples.size(); ++i) {
      nll += scores[i].nll[i];
      tokens += static_cast<double>(scores[i].tokens[i]);
    }
    return nll / tokens;
  }
  std::vector<std::string> greedy_answers(const std::vector<Example>& examples) const {
    GenerationOptions options;
    options.max_new_tokens = 8;
    options.eos_ids = parts_.backbone->info().eos_ids;
    return model().answers(examples, options);
  }

  ModelContext context_;
  std::string kind_;  ///< "fp32" or "fp64", as golden values are named
  double tolerance_ = 0;
  Json golden_;
  std::unique_ptr<TensorSource> tensors_;
  ModelParts parts_;
};

}  // namespace dept
