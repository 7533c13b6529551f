// Numbers and products of rows as a file holds them, blocks of ggml among them.
#pragma once

#include "dept/kernels/frozen_matrix.h"

namespace dept::kernels {

/// Rows of `stored` from `row` on and columns from `column` on, as many as `out` has, which is contiguous.
void widen_into(const StoredRows& stored, int64_t row, int64_t column, at::Tensor out);
/// x [N, columns] contiguous -> y [N, rows] = x W^T for W in blocks; y is part of a wider tensor.
void multiply_few(const StoredRows& stored, const at::Tensor& x, at::Tensor y);

}  // namespace dept::kernels
