// What follows a product row by row, while its rows are near.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/FunctionRef.h>

#include <cstdint>

namespace dept::kernels {

/// Is given rows first .. first + count - 1 of a product's result when they are whole and still near: each row once, rows of
/// several threads at once.
using RowsDone = c10::function_ref<void(const at::Tensor& result, int64_t first, int64_t count)>;

/// Calls rows(x, first, count) for all rows of x, on several threads.
void for_all_rows(const at::Tensor& x, RowsDone rows);

}  // namespace dept::kernels
