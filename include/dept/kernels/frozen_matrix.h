// A frozen matrix in any storage. What is not held in the type that multiplies is widened piece by piece, never all of it.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "dept/tensor/context.h"

namespace dept {
struct GgmlType;
}

namespace dept::kernels {

/// Rows of a matrix as they are held.
struct StoredRows {
  at::Tensor data;                   ///< [rows, columns] fp32, fp16, bf16 or fp64; or uint8 [rows, bytes of a row] of blocks
  const GgmlType* blocks = nullptr;  ///< null: data are numbers

  int64_t rows() const { return data.size(0); }
  int64_t columns() const;
};

class FrozenMatrix {
 public:
  FrozenMatrix() = default;
  /// values [rows, columns], held as they are and used in their own type.
  FrozenMatrix(at::Tensor values, Kernels kernels = Kernels::own);
  /// Parts of equal width on one device, one below the other, used in `dtype`; blocks are on the CPU.
  FrozenMatrix(std::vector<StoredRows> parts, at::ScalarType dtype, Kernels kernels = Kernels::own);

  /// One without rows: a type alone.
  static FrozenMatrix nothing(at::ScalarType dtype);

  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }
  /// Whether it is held as one tensor of that type.
  bool held_as(at::ScalarType dtype) const;
  /// The type it is used in: what layers over it take and give.
  at::ScalarType dtype() const { return dtype_; }
  at::Device device() const;
  Kernels kernels() const { return kernels_; }

  /// x [N, columns] -> x W^T + bias [N, rows] in x's type: fp32, bf16 or fp64. bias [rows] of that type, or undefined.
  at::Tensor forward(const at::Tensor& x, const at::Tensor& bias = {}) const;
  /// dy [N, rows] -> dy W [N, columns] in dy's type.
  at::Tensor backward_input(const at::Tensor& dy) const;
  /// x [n, columns] -> x W^T [n, rows] in fp32 (fp64), every sum in that type whatever the storage.
  at::Tensor forward_wide(const at::Tensor& x) const;
  /// ids int64 [n], each a row -> these rows [n, columns] as `dtype`.
  at::Tensor select(const at::Tensor& ids, at::ScalarType dtype) const;
  /// All of it [rows, columns] in its dtype: as it is held, or a widened copy.
  at::Tensor dense() const;

 private:
  struct Range {
    int64_t begin, end;
    int64_t size() const { return end - begin; }
  };
  bool all_blocks() const;
  at::Tensor forward_few(const at::Tensor& x) const;
  at::Tensor piece(Range rows, Range columns, at::ScalarType dtype) const;

  std::vector<StoredRows> parts_;
  int64_t rows_ = 0, columns_ = 0;
  at::ScalarType dtype_ = at::kFloat;
  Kernels kernels_ = Kernels::own;
};

}  // namespace dept::kernels
