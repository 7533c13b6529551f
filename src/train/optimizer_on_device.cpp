// Clipping and AdamW for weights on a device: nothing is read back, so the CPU goes on while the device computes. A configuration
// whose gradients are not finite stays as it is; who reads the norms learns of it.
#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <cmath>

#include "dept/tensor/upload.h"
#include "dept/train/optimizer.h"

namespace dept {
namespace {

// x [K], in the type of t [K, ...] and in a shape that is multiplied with it.
at::Tensor beside(const at::Tensor& x, const at::Tensor& t) {
  std::vector<int64_t> shape(t.dim(), 1);
  shape[0] = -1;
  return x.to(t.scalar_type()).view(shape);
}

// x becomes `to` in the configurations that go on, bool [K, 1, ...].
void move(at::Tensor x, const at::Tensor& to, const at::Tensor& goes_on) {
  x.copy_(at::where(goes_on, to, x));
}

}  // namespace

at::Tensor clip_on_device(std::vector<Trainable>& trainables, double max_norm) {
  const at::Tensor& first = trainables.front().grad;
  at::Tensor squares = at::zeros({first.size(0)}, first.options().dtype(at::kDouble));
  for (const Trainable& trainable : trainables) squares += trainable.grad.to(at::kDouble).square().flatten(1).sum(1);
  const at::Tensor norms = squares.sqrt();
  if (max_norm <= 0) return norms;
  const at::Tensor coefficient = (max_norm / (norms + 1e-6)).clamp_max(1);
  for (Trainable& trainable : trainables) trainable.grad.mul_(beside(coefficient, trainable.grad));
  return norms;
}

void AdamW::step_on_device(const std::vector<Rates>& rates, const at::Tensor& norms) {
  ++steps_;
  const auto& [form, beta1, beta2, epsilon, weight_decay] = options_;
  const double mean_correction = 1 - std::pow(beta1, static_cast<double>(steps_));
  const double root_correction = std::sqrt(1 - std::pow(beta2, static_cast<double>(steps_)));
  const double size = (form == AdamForm::hf ? root_correction : 1) / mean_correction;
  std::vector<double> table;  // rates [groups, K], step sizes likewise, the correction of sqrt(v) [1, K]
  for (const double factor : {1.0, size})
    for (int64_t group = 0; group < groups; ++group)
      for (const Rates& of_config : rates) table.push_back(of_config[group] * factor);
  table.insert(table.end(), rates.size(), form == AdamForm::hf ? 1 : root_correction);
  const at::Tensor there = upload(at::tensor(table, at::kDouble).view({-1, static_cast<int64_t>(rates.size())}), norms.device());
  const at::Tensor finite = norms.isfinite();
  for (size_t i = 0; i < trainables_.size(); ++i) {
    const auto& [name, value, grad, group, parameter] = trainables_[i];
    const auto number = static_cast<int64_t>(group);
    const at::Tensor goes_on = beside(finite, value).to(at::kBool);
    const at::Tensor rate = beside(there[number], value), step_size = beside(there[groups + number], value);
    const Moments& moments = moments_[i];
    move(moments.mean, moments.mean * beta1 + grad * (1 - beta1), goes_on);
    move(moments.square, moments.square * beta2 + grad * grad * (1 - beta2), goes_on);
    const at::Tensor step = step_size * moments.mean / (moments.square.sqrt() / beside(there[2 * groups], value) + epsilon);
    const at::Tensor kept = 1 - rate * weight_decay;
    move(value, form == AdamForm::hf ? (value - step) * kept : value * kept - step, goes_on);
  }
}

}  // namespace dept
