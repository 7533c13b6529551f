#include <ATen/Parallel.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/empty.h>

#include <algorithm>

#include "kernels/cpu/simd.h"
#include "kernels/operators.h"

namespace dept::kernels::cpu {
namespace {

// at::argmax compares one number after the other, which took a fiftieth of an evaluation's time.
DEPT_CLONES float largest(const float* x, int64_t count) {
  float top = x[0];
#pragma omp simd reduction(max : top)
  for (int64_t i = 0; i < count; ++i) top = std::max(top, x[i]);
  return top;
}

}  // namespace

at::Tensor argmax(const at::Tensor& logits) {
  if (logits.scalar_type() != at::kFloat) return at::argmax(logits, 1);
  const int64_t rows = logits.size(0), count = logits.size(1);
  at::Tensor places = at::empty({rows}, logits.options().dtype(at::kLong));
  const auto* from = logits.const_data_ptr<float>();
  auto* to = places.mutable_data_ptr<int64_t>();
  at::parallel_for(0, rows, row_grain(count), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const float* row = from + r * count;
      const float* found = std::find(row, row + count, largest(row, count));
      to[r] = found == row + count ? 0 : found - row;
    }
  });
  return places;
}

}  // namespace dept::kernels::cpu
