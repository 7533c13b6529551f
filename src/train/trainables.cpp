#include "dept/train/trainables.h"

#include <ATen/ops/zeros_like.h>

#include "dept/base/error.h"

namespace dept {

namespace {

Group group_of(const AdapterMember& member) {
  if (member.tensor == &AdapterWeights::P) return Group::prompt;
  return member.tensor == &AdapterWeights::A || member.tensor == &AdapterWeights::B ? Group::delta : Group::head;
}

}  // namespace

std::vector<Trainable> list_trainables(const AdapterWeights& weights) {
  std::vector<Trainable> list;
  for (const AdapterMember& member : adapter_members(weights.form)) {
    const at::Tensor& value = weights.*member.tensor;
    if (value.numel() > 0) list.push_back({member.name, value, at::zeros_like(value), group_of(member)});
  }
  return list;
}

void add_gradients(std::vector<Trainable>& trainables, const AdapterWeights& gradients) {
  for (const AdapterMember& member : adapter_members(gradients.form))
    for (Trainable& trainable : trainables)
      if (trainable.name == member.name) trainable.grad.add_(gradients.*member.tensor);
}

void zero_gradients(std::vector<Trainable>& trainables) {
  for (Trainable& trainable : trainables) trainable.grad.zero_();
}

int64_t parameter_count(const std::vector<Trainable>& trainables) {
  int64_t count = 0;
  for (const Trainable& trainable : trainables) count += trainable.value.numel() / trainable.value.size(0);
  return count;
}

}  // namespace dept
