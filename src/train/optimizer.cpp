#include "dept/train/optimizer.h"

#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {

namespace {

// A factor of tensors of this type: what it has no number for is infinite there, as it is on a device.
double factor(double value, const at::Tensor& tensor) {
  const bool fits = tensor.scalar_type() == at::kDouble || std::abs(value) <= std::numeric_limits<float>::max();
  return fits ? value : std::copysign(std::numeric_limits<double>::infinity(), value);
}

}  // namespace

AdamForm parse_optim(std::string_view name) {
  if (name == "adamw_hf") return AdamForm::hf;
  if (name == "adamw_torch") return AdamForm::torch;
  fail(Code::usage, "optim", "adamw_hf or adamw_torch", quote(name));
}

AdamW::AdamW(std::vector<Trainable> trainables, const AdamOptions& options)
    : trainables_(std::move(trainables)), options_(options) {
  for (const Trainable& t : trainables_) moments_.push_back({at::zeros_like(t.value), at::zeros_like(t.value)});
}

void AdamW::step(const std::vector<Rates>& rates) {
  ++steps_;
  const auto& [form, beta1, beta2, epsilon, weight_decay] = options_;
  const double mean_correction = 1 - std::pow(beta1, static_cast<double>(steps_));
  const double root_correction = std::sqrt(1 - std::pow(beta2, static_cast<double>(steps_)));
  for (size_t i = 0; i < trainables_.size(); ++i) {
    const Trainable& trainable = trainables_[i];
    at::Tensor& m = moments_[i].mean;
    at::Tensor& v = moments_[i].square;
    m.mul_(beta1).add_(trainable.grad, 1 - beta1);
    v.mul_(beta2).addcmul_(trainable.grad, trainable.grad, 1 - beta2);
    for (int64_t k = 0; k < trainable.value.size(0); ++k) {
      at::Tensor p = trainable.value[k];
      const double rate = rates.at(k)[static_cast<size_t>(trainable.group)];
      if (form == AdamForm::hf) {
        p.addcdiv_(m[k], v[k].sqrt().add_(factor(epsilon, p)), factor(-rate * root_correction / mean_correction, p));
        if (weight_decay != 0) p.mul_(factor(1 - rate * weight_decay, p));
      } else {
        if (weight_decay != 0) p.mul_(factor(1 - rate * weight_decay, p));
        p.addcdiv_(m[k], v[k].sqrt().div_(root_correction).add_(factor(epsilon, p)), factor(-rate / mean_correction, p));
      }
    }
  }
}

NamedTensors AdamW::state() const {
  NamedTensors state;
  for (size_t i = 0; i < trainables_.size(); ++i) {
    state.emplace_back(trainables_[i].name + ".exp_avg", moments_[i].mean);
    state.emplace_back(trainables_[i].name + ".exp_avg_sq", moments_[i].square);
  }
  state.emplace_back("step", at::tensor(at::ArrayRef<int64_t>{steps_}));
  return state;
}

void AdamW::load_state(const NamedTensors& state) {
  const NamedTensors own = this->state();
  for (const auto& [name, tensor] : state)
    if (std::none_of(own.begin(), own.end(), [&](const auto& known) { return known.first == name; }))
      fail(Code::bad_input, "optimizer state", "the tensors of what trains", quote(name));
  for (const auto& [name, mine] : own) {
    const auto found = std::find_if(state.begin(), state.end(), [&](const auto& other) { return other.first == name; });
    if (found == state.end()) fail(Code::bad_input, "optimizer state", quote(name), "nothing");
    const at::Tensor& theirs = found->second;
    if (theirs.sizes() != mine.sizes() || theirs.scalar_type() != mine.scalar_type())
      fail(Code::bad_input, str("optimizer state: ", name), dept::str(mine.scalar_type(), " ", mine.sizes()),
           dept::str(theirs.scalar_type(), " ", theirs.sizes()));
    if (name != "step")
      at::Tensor(mine).copy_(theirs);
    else if (steps_ = theirs.item<int64_t>(); steps_ < 0)
      fail(Code::bad_input, "optimizer state: step", "no negative number", str(steps_));
  }
}

std::vector<double> clip_gradients(std::vector<Trainable>& trainables, double max_norm) {
  const int64_t K = trainables.empty() ? 0 : trainables.front().value.size(0);
  std::vector<double> norms(K);
  for (int64_t k = 0; k < K; ++k) {
    double squares = 0;
    for (const Trainable& trainable : trainables) squares += trainable.grad[k].to(at::kDouble).square().sum().item<double>();
    norms[k] = std::sqrt(squares);
    const double coefficient = max_norm / (norms[k] + 1e-6);
    if (max_norm <= 0 || coefficient >= 1) continue;
    for (Trainable& trainable : trainables) trainable.grad[k].mul_(coefficient);
  }
  return norms;
}

}  // namespace dept
