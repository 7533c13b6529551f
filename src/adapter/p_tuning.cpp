// P-tuning by a multilayer perceptron, as PEFT's PromptEncoder has it (GPT Understands, Too, arXiv 2103.10385).
//
//   P' = W3 ReLU(W2 ReLU(W1 P + b1) + b2) + b3,   X = concat(P', E)
//
// P [M, D], W1 [H, D], W2 [H, H], W3 [D, H] and the biases train; only P' is kept.
#include <ATen/TensorOperators.h>
#include <ATen/ops/baddbmm.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/relu.h>

#include <cmath>

#include "dept/adapter/method.h"

namespace dept {
namespace {

using at::Tensor;

struct Units : AdapterSaved {
  Tensor first, second;  // [K, M, H] behind each ReLU
};

// x [K, M, in] W^T + b for W [K, out, in] and b [K, out].
Tensor linear(const Tensor& x, const Tensor& W, const Tensor& b) {
  return at::baddbmm(b.unsqueeze(1), x, W.transpose(1, 2));
}

class PTuning final : public InputAdapter {
 public:
  using InputAdapter::InputAdapter;

 protected:
  std::unique_ptr<AdapterSaved> new_saved() const override { return std::make_unique<Units>(); }

  Tensor prompt(AdapterSaved* saved) const override {
    Units& units = static_cast<Units&>(*saved);
    units.first = at::relu(linear(P, W1, b1));
    units.second = at::relu(linear(units.first, W2, b2));
    return linear(units.second, W3, b3);
  }

  Gradients gradients(const AdapterSaved* saved, const Tensor& d_prompt, const Tensor&) const override {
    const Tensor dP = d_prompt.to(dtype());
    const Units& units = static_cast<const Units&>(*saved);
    const auto outer = [](const Tensor& d, const Tensor& x) { return at::bmm(d.transpose(1, 2), x); };
    const Tensor d2 = at::bmm(dP, W3) * (units.second > 0);
    const Tensor d1 = at::bmm(d2, W2) * (units.first > 0);
    return {at::bmm(d1, W1), outer(d1, P), d1.sum(1), outer(d2, units.first), d2.sum(1), outer(dP, units.second), dP.sum(1)};
  }

 private:
  const Tensor &P = value(0), &W1 = value(1), &b1 = value(2), &W2 = value(3), &b2 = value(4), &W3 = value(5), &b3 = value(6);
};

std::vector<AdapterTensor> p_tuning_tensors(const AdapterShape& s) {
  const int64_t D = s.width, H = s.hidden;
  return {{"prompt_encoder.embedding.weight", Group::prompt, {s.prompt_rows(), D}},
          {"prompt_encoder.mlp_head.0.weight", Group::prompt, {H, D}},
          {"prompt_encoder.mlp_head.0.bias", Group::prompt, {H}},
          {"prompt_encoder.mlp_head.2.weight", Group::prompt, {H, H}},
          {"prompt_encoder.mlp_head.2.bias", Group::prompt, {H}},
          {"prompt_encoder.mlp_head.4.weight", Group::prompt, {D, H}},
          {"prompt_encoder.mlp_head.4.bias", Group::prompt, {D}}};
}

std::vector<Tensor> p_tuning_start(const AdapterShape& s, const AdapterStart& from) {
  std::vector<Tensor> values = {at::randn({s.prompt_rows(), s.width}, from.generator, at::kFloat)};
  for (const auto& [in, out] : {std::pair{s.width, s.hidden}, {s.hidden, s.hidden}, {s.hidden, s.width}}) {
    const double bound = 1 / std::sqrt(static_cast<double>(in));  // of a linear layer's bias
    values.push_back(kaiming_uniform({out, in}, in, from.generator));
    values.push_back(at::empty({out}, at::kFloat).uniform_(-bound, bound, from.generator));
  }
  return values;
}

}  // namespace

extern const Method p_tuning;
const Method p_tuning{
    .peft_type = "P_TUNING",
    .title = "P-tuning",
    .fields = {.hidden = true},
    .defaults = {.prompt_tokens = 20},
    .keeps_prompt_alone = true,
    .tensors = p_tuning_tensors,
    .start = p_tuning_start,
    .make = make_adapter_of<PTuning>,
};

}  // namespace dept
