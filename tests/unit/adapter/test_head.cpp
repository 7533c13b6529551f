// The classification head by itself: its forms, its explicit backward by finite differences in fp64, pooling, starts.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "dept/adapter/head.h"
#include "dept/base/error.h"
#include "dept/tensorio/tensor_source.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

constexpr int64_t K = 2, C = 3, D = 5;

at::Tensor draw(at::IntArrayRef shape, uint64_t seed) {
  return at::randn(shape, at::detail::createCPUGenerator(seed), at::kDouble);
}

HeadWeights random_head(HeadForm form, int64_t labels = C) {
  HeadWeights weights;
  weights.form = form;
  uint64_t seed = 0;
  for (auto [name, tensor, shape] : head_tensors(form, labels, D)) {
    shape.insert(shape.begin(), K);
    weights.*tensor = draw(shape, ++seed);
  }
  return weights;
}

// Texts of 3, 1, 2 and 4 tokens for configurations 1, 0, 0, 1.
Ragged four_texts() {
  Ragged text;
  const int64_t lengths[] = {3, 1, 2, 4}, configs[] = {1, 0, 0, 1};
  std::vector<at::Tensor> positions;
  for (int64_t b = 0; b < 4; ++b) {
    text.append(lengths[b], 20 + b, configs[b]);
    positions.push_back(at::arange(lengths[b], at::kLong));
  }
  text.position = at::cat(positions);
  return text;
}

Call dropping_call() {
  Call call;
  call.training = true;
  call.seeds = {1, 2};
  return call;
}

class HeadOf : public testing::TestWithParam<HeadForm> {};
INSTANTIATE_TEST_SUITE_P(Forms, HeadOf,
                         testing::Values(HeadForm::score, HeadForm::classifier, HeadForm::dense, HeadForm::pre_classifier,
                                         HeadForm::pooler));

// As the family has it whose form it is.
HeadRules rules_of(HeadForm form, double p) {
  HeadRules rules{.dropout = p, .input_dropout = p, .unit = {}};
  if (form == HeadForm::pre_classifier) rules.unit = kernels::Activation::relu;
  if (form == HeadForm::pooler) rules = {.dropout = p, .input_dropout = p / 2, .unit = kernels::Activation::gelu};
  return rules;
}

// What stands between the two linears of a head that has two.
at::Tensor units_of(HeadForm form, const at::Tensor& x) {
  if (form == HeadForm::dense) return x.tanh();
  return form == HeadForm::pre_classifier ? x.relu() : at::gelu(x);
}

TEST_P(HeadOf, EachTextIsEvaluatedByItsConfiguration) {
  const HeadWeights head = random_head(GetParam());
  const at::Tensor x = draw({4, D}, 9), logits = head_forward({}, head, four_texts(), rules_of(GetParam(), 0.5), x, nullptr);
  for (const auto& [b, k] : {std::pair{0, 1}, {1, 0}, {2, 0}, {3, 1}}) {
    at::Tensor state = x[b];
    if (head.dense.defined()) state = units_of(GetParam(), head.dense[k].matmul(state) + head.dense_bias[k]);
    at::Tensor expected = head.out[k].matmul(state);
    if (GetParam() != HeadForm::score) expected = expected + head.out_bias[k];
    EXPECT_TRUE(logits[b].allclose(expected, 1e-12, 1e-12)) << b << ", no dropout outside training";
  }
}

// (f(w + h v) - f(w - h v)) / 2h = <gradient, v> for each tensor and for x, dropout on.
TEST_P(HeadOf, GradientsAreFiniteDifferences) {
  const Call call = dropping_call();
  const Ragged text = four_texts();
  HeadWeights head = random_head(GetParam());
  at::Tensor x = draw({4, D}, 9);
  const at::Tensor values = at::tensor({2.0, 0.0, 1.0, 2.0}, at::kDouble);
  const HeadRules rules = rules_of(GetParam(), 0.3);
  const auto loss = [&] { return head_loss(head_forward(call, head, text, rules, x, nullptr), values).sum().item<double>(); };

  HeadSaved saved;
  at::Tensor d_logits;
  head_loss(head_forward(call, head, text, rules, x, &saved), values, &d_logits);
  const HeadGradients gradients = head_backward(head, text, saved, d_logits);
  const auto expect_gradient = [&](at::Tensor& at, const at::Tensor& gradient, const std::string& name) {
    const at::Tensor before = at, v = draw(at.sizes(), 11);
    const double h = 1e-6;
    at = before + h * v;
    const double above = loss();
    at = before - h * v;
    const double below = loss();
    at = before;
    const double exact = (gradient * v).sum().item<double>();
    EXPECT_NEAR((above - below) / (2 * h), exact, 1e-7 * std::abs(exact) + 1e-9) << name;
  };
  const std::vector<HeadTensor> tensors = head_tensors(GetParam(), C, D);
  ASSERT_EQ(gradients.parameters.size(), tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) expect_gradient(head.*tensors[i].tensor, gradients.parameters[i], tensors[i].name);
  expect_gradient(x, gradients.x, "x");
}

TEST(Head, DropoutDependsOnTheStepAndTheExample) {
  Call call = dropping_call();
  const HeadWeights head = random_head(HeadForm::classifier);
  const HeadRules rules = rules_of(head.form, 0.5);
  const at::Tensor x = draw({4, D}, 9), once = head_forward(call, head, four_texts(), rules, x, nullptr);
  EXPECT_TRUE(once.equal(head_forward(call, head, four_texts(), rules, x, nullptr)));
  call.micro_step = 1;
  EXPECT_FALSE(once.equal(head_forward(call, head, four_texts(), rules, x, nullptr)));
}

TEST(Head, OneLabelIsRegression) {
  const at::Tensor logits = at::tensor({2.0, -1.0}, at::kDouble).unsqueeze(1), values = at::tensor({0.5, -1.5}, at::kDouble);
  at::Tensor d;
  EXPECT_TRUE(head_loss(logits, values, &d).equal(at::tensor({2.25, 0.25}, at::kDouble)));
  EXPECT_TRUE(d.equal(at::tensor({3.0, 1.0}, at::kDouble).unsqueeze(1)));
}

TEST(Head, ALabelOutsideIsRefused) {
  EXPECT_THROW(head_loss(draw({1, 3}, 1), at::tensor({3.0}, at::kDouble)), Error);
}

TEST(Pooling, TakesTheTokensThatItNames) {
  const Ragged text = four_texts();
  constexpr int64_t M = 2;
  const at::Tensor hidden = draw({10 + 4 * M, D}, 3);  // a prompt in front of each text: at 0, 5, 8, 12
  const auto state = [&](Pooling pooling) {
    return pool(pooled_tokens(pooling, text, lay_out(text, M, K, false)), hidden, text.batch(), at::kDouble);
  };
  const auto rows = [&](std::vector<int64_t> list) { return hidden.index_select(0, at::tensor(list)); };
  EXPECT_TRUE(state(Pooling::first).equal(rows({0, 5, 8, 12})));
  EXPECT_TRUE(state(Pooling::cls).equal(rows({2, 7, 10, 14})));
  EXPECT_TRUE(state(Pooling::last).equal(rows({4, 7, 11, 17})));
  EXPECT_TRUE(state(Pooling::mean)[0].allclose(hidden.narrow(0, 2, 3).mean(0), 1e-14, 1e-14));
  EXPECT_TRUE(state(Pooling::mean)[3].allclose(hidden.narrow(0, 14, 4).mean(0), 1e-14, 1e-14));

  // Behind K shared prompts the texts follow one another.
  const at::Tensor last = pool(pooled_tokens(Pooling::last, text, lay_out(text, M, K, true)), hidden, text.batch(), at::kDouble);
  EXPECT_TRUE(last.equal(rows({K * M + 2, K * M + 3, K * M + 5, K * M + 9})));
}

TEST(Pooling, BackwardIsTheTransposeOfForward) {
  const Ragged text = four_texts();
  const at::Tensor hidden = draw({18, D}, 3), d = draw({4, D}, 4);
  for (Pooling pooling : {Pooling::first, Pooling::cls, Pooling::mean, Pooling::last}) {
    const PooledTokens tokens = pooled_tokens(pooling, text, lay_out(text, 2, K, false));
    const double forward = (pool(tokens, hidden, 4, at::kDouble) * d).sum().item<double>();
    EXPECT_NEAR((hidden * pool_backward(tokens, d, 18)).sum().item<double>(), forward, 1e-12) << to_string(pooling);
  }
}

TEST(Pooling, NamesAndArchitectures) {
  for (const char* name : {"first", "cls", "mean", "last"}) EXPECT_EQ(to_string(parse_pooling(name)), name);
  error_of(Code::usage, [] { parse_pooling("max"); });
  EXPECT_EQ(default_pooling(Architecture::encoder), Pooling::first);
  EXPECT_EQ(default_pooling(Architecture::decoder), Pooling::last);
  check_pooling(Pooling::mean, Architecture::encoder);
  error_of(Code::usage, [] { check_pooling(Pooling::mean, Architecture::decoder); });
  error_of(Code::usage, [] { check_pooling(Pooling::last, Architecture::encoder); });
}

TEST(HeadStart, IsDrawnFromTheGeneratorBiasesAreZero) {
  const HeadWeights head = init_head(HeadForm::dense, C, D, 0.02, at::detail::createCPUGenerator(3));
  at::Generator same = at::detail::createCPUGenerator(3);
  EXPECT_TRUE(head.dense[0].equal(at::zeros({D, D}).normal_(0, 0.02, same)));
  EXPECT_TRUE(head.out[0].equal(at::zeros({C, D}).normal_(0, 0.02, same)));
  EXPECT_TRUE(head.dense_bias.equal(at::zeros({1, D})));
  EXPECT_TRUE(head.out_bias.equal(at::zeros({1, C})));
  EXPECT_FALSE(init_head(HeadForm::score, C, D, 0.02, same).out_bias.defined());
}

TEST(HeadStart, IsTheCheckpointsWhereItFits) {
  const Scratch scratch;
  scratch.write("config.json", "{}");
  const at::Tensor weight = draw({C, D}, 1).to(at::kFloat), bias = draw({C}, 2).to(at::kFloat);
  save_safetensors(scratch / "model.safetensors", {{"classifier.weight", weight}, {"classifier.bias", bias}});
  const auto head = checkpoint_head(scratch.path(), HeadForm::classifier, C, D);
  ASSERT_TRUE(head);
  EXPECT_TRUE(head->out[0].equal(weight));
  EXPECT_TRUE(head->out_bias[0].equal(bias));
  EXPECT_FALSE(checkpoint_head(scratch.path(), HeadForm::classifier, C - 1, D));
  EXPECT_FALSE(checkpoint_head(scratch.path(), HeadForm::score, C, D));
}

}  // namespace
}  // namespace dept
