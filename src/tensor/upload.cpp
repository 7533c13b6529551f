#include "dept/tensor/upload.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

namespace dept {

at::Tensor transfer(const at::Tensor& x, c10::Device device) {
  return device.is_cuda() ? x.pin_memory().to(device, /*non_blocking=*/true) : x.to(device);
}

at::Tensor room_for(int64_t bytes, c10::Device device) {
  return at::empty({bytes}, at::TensorOptions(at::kByte).pinned_memory(device.is_cuda()));
}

at::Tensor upload(const at::Tensor& x, c10::Device device) {
  Tables* const tables = Tables::current();
  return tables == nullptr ? transfer(x, device) : tables->take(x, device, {});
}

at::Tensor upload(const std::vector<int64_t>& values, c10::Device device) {
  return upload(at::tensor(values, at::kLong), device);
}

at::Tensor upload_fixed(const at::Tensor& x, c10::Device device) {
  return upload(x, device, [x](const StepBatch&) { return x; });
}

at::Tensor upload_positions(const Ragged& tokens, c10::Device device, int64_t first) {
  const auto shifted = [first](const Ragged& of) { return first == 0 ? of.position : of.position + first; };
  return upload(shifted(tokens), device, [shifted, part = tokens.part](const StepBatch& now) { return shifted(now.of(part)); });
}

void Upload::add(const std::vector<int64_t>& values, at::Tensor& to) {
  values_.insert(values_.end(), values.begin(), values.end());
  lists_.emplace_back(&to, static_cast<int64_t>(values.size()));
}

void Upload::send(c10::Device device) {
  share(upload(values_, device));
}

at::Tensor Upload::joined() const {
  return at::tensor(values_, at::kLong);
}

void Upload::share(const at::Tensor& all) {
  int64_t first = 0;
  for (const auto& [to, length] : lists_) {
    *to = all.narrow(0, first, length);
    first += length;
  }
  values_.clear();
  lists_.clear();
}

}  // namespace dept
