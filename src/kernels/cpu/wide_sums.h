// Sums of fp32 rows in fp64.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace dept::kernels::cpu {

/// wide_row_sums (dept/kernels/row_sums.h) of x in fp32.
at::Tensor wide_row_sums(const at::Tensor& x, const std::vector<int64_t>& to, int64_t rows);

}  // namespace dept::kernels::cpu
