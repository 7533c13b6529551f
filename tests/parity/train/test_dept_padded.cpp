// The ragged batch against the padded reference and against examples run alone, dropout off and on, in fp64.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include "dept/adapter/adapter_file.h"
#include "dept/train/model_parts.h"
#include "padded_reference.h"

namespace dept {
namespace test_dept_padded {

constexpr double tolerance = 1e-9;
constexpr int64_t M = 5, S = 16, R = 3, D = 32;

constexpr at::Tensor DeptWeights::*members[] = {&DeptWeights::P, &DeptWeights::A, &DeptWeights::B};

double relative_error(const at::Tensor& got, const at::Tensor& want) {
  return ((got - want).abs().max() / want.abs().max()).item<double>();
}

class Padded : public testing::TestWithParam<std::tuple<const char*, bool>> {
 protected:
  void SetUp() override {
    const auto [name, dropout] = GetParam();
    const fs::path model = fs::path(DEPT_TEST_DATA) / "parity" / "data" / "models" / name;
    ModelContext context;
    context.compute = at::kDouble;
    call_.training = dropout;
    call_.micro_step = 7;
    call_.seeds = {42, 1234567890123456789u};
    reference_ = std::make_unique<PaddedReference>(model);
    parts_.backbone = load_backbone(model, context);
    parts_.rules.architecture = parts_.backbone->info().architecture;
    parts_.rules.max_source = S;
    for (int64_t k = 0; k < 2; ++k)
      weights_.push_back({draw({1, M, D}), draw({1, S, R}) / std::sqrt(static_cast<double>(R)), draw({1, R, D}) * 0.1});
    for (const auto& [source, target] : {std::pair<int64_t, int64_t>{3, 2}, {16, 1}, {7, 3}, {1, 5}, {12, 2}})
      examples_.push_back({1000 + 17 * static_cast<int64_t>(examples_.size()), ids(source), ids(target)});
  }

  at::Tensor draw(at::IntArrayRef shape) { return at::randn(shape, generator_, at::kDouble); }
  Ids ids(int64_t count) {
    Ids list;
    for (int64_t i = 0; i < count; ++i) list.push_back(3 + (next_ += 29) % 90);
    return list;
  }
  PaddedResult reference(int64_t k, std::span<const Example> examples) const {
    return reference_->run(weights_[k], delta_scale(8, R), examples, call_.training, call_.seeds[k], call_.micro_step,
                           parts_.rules.alignment);
  }
  /// Configuration 0 alone.
  PaddedResult ragged(std::span<const Example> examples) {
    parts_.weights = dept_alone(weights_[0]);
    Gradients gradients;
    const double nll = model().loss(call_, collate(parts_.rules, examples), &gradients).nll.item<double>();
    return {nll, dept_weights(gradients)};
  }
  static void expect_same(const PaddedResult& got, const PaddedResult& want) {
    EXPECT_LE(std::abs(got.nll - want.nll) / want.nll, tolerance);
    for (auto member : members) EXPECT_LE(relative_error(got.gradient.*member, want.gradient.*member), tolerance);
  }

  Call call_;
  AdaptedModel model() const { return AdaptedModel(parts_); }

  ModelParts parts_;
  std::unique_ptr<PaddedReference> reference_;
  std::vector<DeptWeights> weights_;  // of two configurations
  std::vector<Example> examples_;
  at::Generator generator_ = at::make_generator<at::CPUGeneratorImpl>(5);
  int64_t next_ = 0;
};

TEST_P(Padded, EqualsRagged) {
  for (DeltaAlignment alignment : {DeltaAlignment::end, DeltaAlignment::start}) {
    parts_.rules.alignment = alignment;
    expect_same(ragged(examples_), reference(0, examples_));
  }
}

TEST_P(Padded, EqualsOneAtATime) {
  PaddedResult sum{0, {at::zeros_like(weights_[0].P), at::zeros_like(weights_[0].A), at::zeros_like(weights_[0].B)}};
  for (const Example& example : examples_) {
    const PaddedResult one = ragged(std::span(&example, 1));
    sum.nll += one.nll;
    for (auto member : members) (sum.gradient.*member).add_(one.gradient.*member);
  }
  expect_same(sum, reference(0, examples_));
}

TEST_P(Padded, EqualsTwoStackedConfigurations) {
  parts_.weights = dept_alone({at::cat({weights_[0].P, weights_[1].P}), at::cat({weights_[0].A, weights_[1].A}),
                               at::cat({weights_[0].B, weights_[1].B})});
  Batch batch = collate(parts_.rules, examples_);
  std::vector<Example> of_config[2];
  for (size_t b = 0; b < examples_.size(); ++b) {
    const int64_t k = b % 2;
    of_config[k].push_back(examples_[b]);
    batch.source.config[b] = k;
    if (parts_.rules.encoder_decoder()) batch.target.config[b] = k;
  }
  Gradients gradients;
  const BatchLoss loss = model().loss(call_, batch, &gradients);
  const DeptWeights gradient = dept_weights(gradients);
  for (int64_t k = 0; k < 2; ++k) {
    const auto slice = [&](const at::Tensor& t) { return t.narrow(0, k, 1); };
    expect_same({loss.nll[k].item<double>(), {slice(gradient.P), slice(gradient.A), slice(gradient.B)}},
                reference(k, of_config[k]));
  }
}

TEST_P(Padded, DropoutIsThereWhenOnAndDependsOnItsKey) {
  const bool drops = call_.training && parts_.backbone->info().dropout > 0;
  const double loss = ragged(examples_).nll;
  call_.micro_step = 8;
  EXPECT_EQ(ragged(examples_).nll != loss, drops);
  call_.micro_step = 7;
  call_.training = false;
  EXPECT_EQ(ragged(examples_).nll != loss, drops);
}

INSTANTIATE_TEST_SUITE_P(Models, Padded, testing::Combine(testing::Values("llama-gqa-tied", "t5-v1.0"), testing::Bool()),
                         [](const auto& info) {
                           const std::string model = std::get<0>(info.param);
                           return model.substr(0, model.find('-')) + (std::get<1>(info.param) ? "Training" : "AtRest");
                         });

}  // namespace test_dept_padded
}  // namespace dept
