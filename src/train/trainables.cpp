#include "dept/train/trainables.h"

#include <ATen/ops/zeros_like.h>

#include "dept/adapter/adapter_file.h"
#include "dept/base/error.h"

namespace dept {

std::vector<Trainable> list_trainables(const DeptWeights& weights) {
  std::vector<Trainable> list;
  for (const AdapterMember& member : adapter_members) {
    const at::Tensor& value = weights.*member.tensor;
    if (value.numel() == 0) continue;
    list.push_back({member.name, value, at::zeros_like(value), member.tensor == &DeptWeights::P ? Group::prompt : Group::delta});
  }
  return list;
}

void add_gradients(std::vector<Trainable>& trainables, const DeptWeights& gradients) {
  for (const AdapterMember& member : adapter_members)
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
