// Sums of rows by a list made on the host, in one order on every device: an addition by atomics would round otherwise each time.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "dept/tensor/context.h"

namespace dept::kernels {

/// sums[r] = the sum of x[i] over all i with to[i] = r, always taken in one order; to[i] = -1 counts nowhere.
/// x [N, ...] of any floating type, to [N] -> [rows, ...] of x's dtype on its device; rows without any are zero.
/// Throws bug for another length or a row outside.
at::Tensor row_sums(const at::Tensor& x, const std::vector<int64_t>& to, int64_t rows, Kernels kernels = Kernels::own);

/// The same in fp64 where x is on the CPU, so that the order of the summands hardly shows: parts of a sum that were added up
/// apart, by ranks, come to what one process adds up. On another device as row_sums, in x's dtype.
at::Tensor wide_row_sums(const at::Tensor& x, const std::vector<int64_t>& to, int64_t rows, Kernels kernels = Kernels::own);

}  // namespace dept::kernels
