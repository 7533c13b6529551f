// Lists that are made on the host and read on a device. To a GPU they go through pinned memory and nothing waits for them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace dept {

/// A tensor of the CPU on `device`; itself where that is the CPU.
at::Tensor upload(const at::Tensor& x, c10::Device device);
/// A list as int64 [values.size()] on `device`.
at::Tensor upload(const std::vector<int64_t>& values, c10::Device device);

/// Several lists that go over in one copy.
class Upload {
 public:
  /// `to` becomes int64 [values.size()] when the lists are sent.
  void add(const std::vector<int64_t>& values, at::Tensor& to);
  void send(c10::Device device);

 private:
  std::vector<int64_t> values_;
  std::vector<std::pair<at::Tensor*, int64_t>> lists_;  // and how long each is
};

}  // namespace dept
