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
  /// again(const StepBatch&) makes the rows of another batch of a recorded step.
  template <class Again>
  Table(const std::vector<T>& rows, at::Device device, Again again)
      : there_(upload(bytes_of(rows), device, [again](const StepBatch& now) { return bytes_of(again(now)); })) {}
  const T* data() const { return static_cast<const T*>(there_.const_data_ptr()); }

 private:
  static at::Tensor bytes_of(const std::vector<T>& rows) {
    const at::Tensor bytes = at::empty({static_cast<int64_t>(rows.size() * sizeof(T))}, at::kByte);
    if (!rows.empty()) std::memcpy(bytes.mutable_data_ptr(), rows.data(), rows.size() * sizeof(T));
    return bytes;
  }

  at::Tensor there_;
};

}  // namespace dept::kernels::cuda
