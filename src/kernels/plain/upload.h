// Lists that are made on the host and read by operators on any device.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace dept::kernels::plain {

/// Several lists go over in one copy.
class Upload {
 public:
  /// `to` becomes int64 [values.size()] when the lists are sent.
  void add(const std::vector<int64_t>& values, at::Tensor& to);
  void send(at::Device device);

 private:
  std::vector<int64_t> values_;
  std::vector<std::pair<at::Tensor*, int64_t>> lists_;  // and how long each is
};

}  // namespace dept::kernels::plain
