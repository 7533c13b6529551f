#include "dept/train/trainables.h"

#include <ATen/ops/zeros_like.h>

namespace dept {

std::vector<Trainable> list_trainables(const std::vector<Parameter>& parameters) {
  std::vector<Trainable> list;
  for (size_t i = 0; i < parameters.size(); ++i) {
    const auto& [name, group, value] = parameters[i];
    if (value.numel() > 0) list.push_back({name, value, at::zeros_like(value), group, i});
  }
  return list;
}

void add_gradients(std::vector<Trainable>& trainables, const Gradients& gradients) {
  for (Trainable& trainable : trainables) trainable.grad.add_(gradients.at(trainable.parameter));
}

void zero_gradients(std::vector<Trainable>& trainables) {
  for (Trainable& trainable : trainables) trainable.grad.zero_();
}

int64_t parameter_count(const std::vector<Trainable>& trainables, bool visual) {
  int64_t count = 0;
  for (const Trainable& trainable : trainables)
    if ((trainable.group == Group::visual) == visual) count += trainable.value.numel() / trainable.value.size(0);
  return count;
}

}  // namespace dept
