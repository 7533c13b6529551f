#include "kernels/plain/upload.h"

#include <ATen/ops/tensor.h>

namespace dept::kernels::plain {

void Upload::add(const std::vector<int64_t>& values, at::Tensor& to) {
  values_.insert(values_.end(), values.begin(), values.end());
  lists_.emplace_back(&to, static_cast<int64_t>(values.size()));
}

void Upload::send(at::Device device) {
  const at::Tensor all = at::tensor(values_, at::kLong).to(device);
  int64_t first = 0;
  for (const auto& [to, length] : lists_) {
    *to = all.narrow(0, first, length);
    first += length;
  }
  values_.clear();
  lists_.clear();
}

}  // namespace dept::kernels::plain
