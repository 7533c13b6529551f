// Small tables that are made on the host and read by kernels through a pointer.
#pragma once

#include <ATen/ops/empty.h>

#include <cstring>
#include <vector>

#include "dept/tensor/upload.h"

namespace dept::kernels::cuda {

/// Rows of T, a struct of plain numbers, in the memory of a device.
template <class T>
class Table {
 public:
  Table(const std::vector<T>& rows, at::Device device) {
    const at::Tensor bytes = at::empty({static_cast<int64_t>(rows.size() * sizeof(T))}, at::kByte);
    if (!rows.empty()) std::memcpy(bytes.mutable_data_ptr(), rows.data(), rows.size() * sizeof(T));
    there_ = upload(bytes, device);
  }
  const T* data() const { return static_cast<const T*>(there_.const_data_ptr()); }

 private:
  at::Tensor there_;
};

}  // namespace dept::kernels::cuda
