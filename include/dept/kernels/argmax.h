// The likeliest token of each row of logits.
#pragma once

#include <ATen/core/Tensor.h>

#include "dept/tensor/context.h"

namespace dept::kernels {

/// logits [n, V], contiguous -> int64 [n], on the CPU: where a row's largest number stands, the first of equals.
/// Throws bug for other shapes.
at::Tensor argmax(const at::Tensor& logits, Kernels kernels = Kernels::own);

}  // namespace dept::kernels
