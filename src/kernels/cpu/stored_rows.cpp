#include "kernels/cpu/stored_rows.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "dept/tensorio/ggml_types.h"
#include "kernels/cpu/simd.h"

namespace dept::kernels {
namespace {

DEPT_CLONES void convert(const float* from, c10::BFloat16* to, int64_t count) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) store(to[i], from[i]);
}
DEPT_CLONES void convert(const float* from, double* to, int64_t count) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) to[i] = from[i];
}

// `count` values, whole blocks of them, by way of a buffer that stays in the nearest cache.
template <class C>
void widen(const GgmlType& type, const std::byte* stored, C* out, int64_t count) {
  constexpr int64_t most = 1024;
  const auto values = static_cast<int64_t>(type.block_values);
  float buffer[most];
  for (int64_t begin = 0; begin < count; begin += most) {
    const int64_t part = std::min(most, count - begin);
    type.dequantise(stored + begin / values * static_cast<int64_t>(type.block_bytes), buffer, part / values);
    convert(buffer, out + begin, part);
  }
}
void widen(const GgmlType& type, const std::byte* stored, float* out, int64_t count) {
  type.dequantise(stored, out, count / type.block_values);
}

template <class C>
DEPT_INLINE arithmetic_t<C> dot_row(const C* a, const C* b, int64_t count) {
  arithmetic_t<C> sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < count; ++i) sum += static_cast<arithmetic_t<C>>(load(a[i])) * load(b[i]);
  return sum;
}
DEPT_CLONES float dot(const float* a, const float* b, int64_t count) {
  return dot_row(a, b, count);
}
DEPT_CLONES float dot(const c10::BFloat16* a, const c10::BFloat16* b, int64_t count) {
  return dot_row(a, b, count);
}
DEPT_CLONES double dot(const double* a, const double* b, int64_t count) {
  return dot_row(a, b, count);
}

}  // namespace

void widen_into(const StoredRows& stored, int64_t row, int64_t column, at::Tensor out) {
  const int64_t rows = out.size(0), columns = out.size(1);
  if (stored.blocks == nullptr) {
    out.copy_(stored.data.slice(0, row, row + rows).slice(1, column, column + columns));
    return;
  }
  const GgmlType& type = *stored.blocks;
  const int64_t row_bytes = stored.data.size(1);
  const int64_t skip = column / static_cast<int64_t>(type.block_values) * static_cast<int64_t>(type.block_bytes);
  const auto* first = static_cast<const std::byte*>(stored.data.const_data_ptr()) + row * row_bytes + skip;
  dispatch(out.scalar_type(), "FrozenMatrix", [&](auto zero) {
    auto* to = out.mutable_data_ptr<decltype(zero)>();
    at::parallel_for(0, rows, row_grain(columns), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) widen(type, first + r * row_bytes, to + r * columns, columns);
    });
  });
}

void multiply_few(const StoredRows& stored, const at::Tensor& x, at::Tensor y) {
  const int64_t columns = x.size(1), row_bytes = stored.data.size(1), stride = y.stride(0);
  const auto* first = static_cast<const std::byte*>(stored.data.const_data_ptr());
  dispatch(x.scalar_type(), "FrozenMatrix", [&](auto zero) {
    using C = decltype(zero);
    const C* from = x.const_data_ptr<C>();
    C* to = y.mutable_data_ptr<C>();
    at::parallel_for(0, stored.rows(), row_grain(columns), [&](int64_t begin, int64_t end) {
      std::vector<C> row(static_cast<size_t>(columns));
      for (int64_t r = begin; r < end; ++r) {
        widen(*stored.blocks, first + r * row_bytes, row.data(), columns);
        for (int64_t n = 0; n < x.size(0); ++n) store(to[n * stride + r], dot(from + n * columns, row.data(), columns));
      }
    });
  });
}

}  // namespace dept::kernels
