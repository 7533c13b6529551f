#include "dept/tensor/upload.h"

#include <ATen/ops/tensor.h>

namespace dept {

at::Tensor upload(const at::Tensor& x, c10::Device device) {
  return device.is_cuda() ? x.pin_memory().to(device, /*non_blocking=*/true) : x.to(device);
}

at::Tensor upload(const std::vector<int64_t>& values, c10::Device device) {
  return upload(at::tensor(values, at::kLong), device);
}

void Upload::add(const std::vector<int64_t>& values, at::Tensor& to) {
  values_.insert(values_.end(), values.begin(), values.end());
  lists_.emplace_back(&to, static_cast<int64_t>(values.size()));
}

void Upload::send(c10::Device device) {
  const at::Tensor all = upload(values_, device);
  int64_t first = 0;
  for (const auto& [to, length] : lists_) {
    *to = all.narrow(0, first, length);
    first += length;
  }
  values_.clear();
  lists_.clear();
}

}  // namespace dept
