#include "dept/kernels/frozen_matrix.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>

#include <algorithm>

#include "kernels/packed_linear.h"
#include "kernels/simd.h"
#include "tensorio/ggml_types.h"

namespace dept::kernels {
namespace {

constexpr int64_t piece_values = int64_t{1} << 21;  // of a widened piece: it stays in the cache for the product
constexpr int64_t few_rows = 8;                     // of x: a product of so many reads each row of blocks once, without a piece
constexpr int64_t column_step = 256;                // pieces of columns begin at blocks of every type

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

// Rows of `stored` from `row` on and columns from `column` on, as many as `out` has, which is contiguous.
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

// y [N, rows] of these rows, part of a wider y.
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

}  // namespace

int64_t StoredRows::columns() const {
  const int64_t held = data.size(1);
  return blocks == nullptr ? held : held / static_cast<int64_t>(blocks->block_bytes) * static_cast<int64_t>(blocks->block_values);
}

FrozenMatrix::FrozenMatrix(at::Tensor values) {
  const at::ScalarType dtype = values.scalar_type();
  *this = FrozenMatrix({{std::move(values)}}, dtype);
}

FrozenMatrix::FrozenMatrix(std::vector<StoredRows> parts, at::ScalarType dtype) : parts_(std::move(parts)), dtype_(dtype) {
  columns_ = parts_.front().columns();
  for (const StoredRows& part : parts_) {
    expect(part.data.dim() == 2 && part.data.is_contiguous() && part.columns() == columns_, "FrozenMatrix",
           "contiguous parts of the same width", part.data);
    rows_ += part.rows();
  }
}

FrozenMatrix FrozenMatrix::nothing(at::ScalarType dtype) {
  FrozenMatrix empty;
  empty.dtype_ = dtype;
  return empty;
}

bool FrozenMatrix::all_blocks() const {
  return std::all_of(parts_.begin(), parts_.end(), [](const StoredRows& part) { return part.blocks != nullptr; });
}

bool FrozenMatrix::held_as(at::ScalarType dtype) const {
  return parts_.size() == 1 && parts_.front().blocks == nullptr && parts_.front().data.scalar_type() == dtype;
}

at::Tensor FrozenMatrix::piece(Range rows, Range columns, at::ScalarType dtype) const {
  at::Tensor out = at::empty({rows.size(), columns.size()}, at::TensorOptions(dtype));
  int64_t first = 0;
  for (const StoredRows& part : parts_) {
    const int64_t begin = std::max(rows.begin, first), end = std::min(rows.end, first + part.rows());
    if (begin < end) widen_into(part, begin - first, columns.begin, out.slice(0, begin - rows.begin, end - rows.begin));
    first += part.rows();
  }
  return out;
}

at::Tensor FrozenMatrix::forward_few(const at::Tensor& x) const {
  at::Tensor y = at::empty({x.size(0), rows_}, x.options());
  int64_t first = 0;
  for (const StoredRows& part : parts_) {
    multiply_few(part, x, y.slice(1, first, first + part.rows()));
    first += part.rows();
  }
  return y;
}

at::Tensor FrozenMatrix::forward(const at::Tensor& x, const at::Tensor& bias) const {
  expect(x.dim() == 2 && x.size(1) == columns_, "FrozenMatrix.forward", dept::str("[N, ", columns_, "]"), x);
  if (held_as(x.scalar_type())) return at::linear(x, parts_.front().data, bias);
  const int64_t step = std::max<int64_t>(64, piece_values / columns_);
  if (x.size(0) <= few_rows && all_blocks() && !bias.defined()) return forward_few(x.contiguous());
  if (step >= rows_) return at::linear(x, piece({0, rows_}, {0, columns_}, x.scalar_type()), bias);
  at::Tensor y = at::empty({x.size(0), rows_}, x.options());
  for (int64_t begin = 0; begin < rows_; begin += step) {
    const int64_t end = std::min(begin + step, rows_);
    const at::Tensor part_of_bias = bias.defined() ? bias.slice(0, begin, end) : bias;
    y.slice(1, begin, end).copy_(at::linear(x, piece({begin, end}, {0, columns_}, x.scalar_type()), part_of_bias));
  }
  return y;
}

at::Tensor FrozenMatrix::forward_wide(const at::Tensor& x) const {
  if (x.scalar_type() == at::kBFloat16 && held_as(at::kBFloat16) && has_packed_products() && columns_ % 32 == 0)
    return table_product(parts_.front().data, x.contiguous());
  return forward(x.to(x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat));
}

// Pieces of columns, so that each product sums over all rows at once, as that of the whole matrix does.
at::Tensor FrozenMatrix::backward_input(const at::Tensor& dy) const {
  expect(dy.dim() == 2 && dy.size(1) == rows_, "FrozenMatrix.backward_input", dept::str("[N, ", rows_, "]"), dy);
  if (held_as(dy.scalar_type())) return at::mm(dy, parts_.front().data);
  const int64_t step = std::max<int64_t>(1, piece_values / rows_ / column_step) * column_step;
  if (step >= columns_) return at::mm(dy, piece({0, rows_}, {0, columns_}, dy.scalar_type()));
  at::Tensor dx = at::empty({dy.size(0), columns_}, dy.options());
  for (int64_t begin = 0; begin < columns_; begin += step) {
    const int64_t end = std::min(begin + step, columns_);
    dx.slice(1, begin, end).copy_(at::mm(dy, piece({0, rows_}, {begin, end}, dy.scalar_type())));
  }
  return dx;
}

at::Tensor FrozenMatrix::dense() const {
  return held_as(dtype_) ? parts_.front().data : piece({0, rows_}, {0, columns_}, dtype_);
}

at::Tensor FrozenMatrix::select(const at::Tensor& ids, at::ScalarType dtype) const {
  const StoredRows& table = parts_.front();
  expect(parts_.size() == 1, "FrozenMatrix.select", "a matrix of one part", table.data);
  return FrozenMatrix({{table.data.index_select(0, ids), table.blocks}}, dtype).dense();
}

}  // namespace dept::kernels
