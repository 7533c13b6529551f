// Residual prompt tuning: Improving Prompt Tuning with Residual Reparameterization, arXiv 2305.03937.
//
//   P' = P + LayerNorm(W2 ReLU(W1 P)),   X = concat(P', E)
//
// One network for all rows of the prompt. P [M, D], W1 [H, D], W2 [D, H] and the norm's two vectors [D] train; only P' is kept.
#include <ATen/TensorOperators.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/native_layer_norm.h>
#include <ATen/ops/native_layer_norm_backward.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/zeros.h>

#include "dept/adapter/method.h"

namespace dept {
namespace {

using at::Tensor;

constexpr double epsilon = 1e-5;  // of torch.nn.LayerNorm

struct Layers : AdapterSaved {
  Tensor units;                    // [K, M, H] ReLU(W1 P)
  Tensor y;                        // [K, M, D] W2 of them
  Tensor mean, deviation, normal;  // of y's rows; normal [K, M, D] is y less its mean by its deviation
};

class ResidualPrompt final : public InputAdapter {
 public:
  using InputAdapter::InputAdapter;

 protected:
  std::unique_ptr<AdapterSaved> new_saved() const override { return std::make_unique<Layers>(); }

  Tensor prompt(AdapterSaved* saved) const override {
    Layers& layers = static_cast<Layers&>(*saved);
    layers.units = at::relu(at::bmm(P, W1.transpose(1, 2)));
    layers.y = at::bmm(layers.units, W2.transpose(1, 2));
    std::tie(layers.normal, layers.mean, layers.deviation) = at::native_layer_norm(layers.y, {shape().width}, {}, {}, epsilon);
    return P + layers.normal * weight.unsqueeze(1) + bias.unsqueeze(1);
  }

  Gradients gradients(const AdapterSaved* saved, const Tensor& d_prompt, const Tensor&) const override {
    const Tensor dP = d_prompt.to(dtype());
    const Layers& layers = static_cast<const Layers&>(*saved);
    const Tensor d_normal = (dP * weight.unsqueeze(1)).contiguous();
    const Tensor dy = std::get<0>(at::native_layer_norm_backward(d_normal, layers.y, {shape().width}, layers.mean,
                                                                 layers.deviation, {}, {}, {true, false, false}));
    const Tensor d_units = at::bmm(dy, W2) * (layers.units > 0);
    return {dP + at::bmm(d_units, W1), at::bmm(d_units.transpose(1, 2), P), at::bmm(dy.transpose(1, 2), layers.units),
            (dP * layers.normal).sum(1), dP.sum(1)};
  }

 private:
  const Tensor &P = value(0), &W1 = value(1), &W2 = value(2), &weight = value(3), &bias = value(4);
};

std::vector<AdapterTensor> residual_prompt_tensors(const AdapterShape& s) {
  return {{"prompt_encoder.embedding.weight", Group::prompt, {s.prompt_rows(), s.width}},
          {"prompt_encoder.module.0.weight", Group::prompt, {s.hidden, s.width}},
          {"prompt_encoder.module.2.weight", Group::prompt, {s.width, s.hidden}},
          {"prompt_encoder.module.3.weight", Group::prompt, {s.width}},
          {"prompt_encoder.module.3.bias", Group::prompt, {s.width}}};
}

std::vector<Tensor> residual_prompt_start(const AdapterShape& s, const AdapterStart& from) {
  Tensor P = from.prompt();
  Tensor W1 = kaiming_uniform({s.hidden, s.width}, s.width, from.generator);
  return {P, W1, kaiming_uniform({s.width, s.hidden}, s.hidden, from.generator), at::ones({s.width}), at::zeros({s.width})};
}

}  // namespace

extern const Method residual_prompt;
const Method residual_prompt{
    .peft_type = "RESIDUAL_PROMPT",
    .title = "Residual prompt tuning",
    .fields = {.words = true, .hidden = true},
    .defaults = {.prompt_tokens = 10, .hidden = 800},
    .keeps_prompt_alone = true,
    .tensors = residual_prompt_tensors,
    .start = residual_prompt_start,
    .make = make_adapter_of<ResidualPrompt>,
};

}  // namespace dept
