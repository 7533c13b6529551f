#include "dept/kernels/frozen_matrix.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>

#include <algorithm>

#include "dept/tensorio/ggml_types.h"
#include "kernels/check.h"
#include "kernels/cpu/packed_linear.h"
#include "kernels/cpu/stored_rows.h"
#include "kernels/dense_product.h"

namespace dept::kernels {
namespace {

constexpr int64_t piece_values = int64_t{1} << 21;  // of a widened piece: it stays in the cache for the product
constexpr int64_t few_rows = 8;                     // of x: a product of so many reads each row of blocks once, without a piece
constexpr int64_t column_step = 256;                // pieces of columns begin at blocks of every type

}  // namespace

int64_t StoredRows::columns() const {
  const int64_t held = data.size(1);
  return blocks == nullptr ? held : held / static_cast<int64_t>(blocks->block_bytes) * static_cast<int64_t>(blocks->block_values);
}

FrozenMatrix::FrozenMatrix(at::Tensor values, Kernels kernels) {
  const at::ScalarType dtype = values.scalar_type();
  *this = FrozenMatrix({{std::move(values)}}, dtype, kernels);
}

FrozenMatrix::FrozenMatrix(std::vector<StoredRows> parts, at::ScalarType dtype, Kernels kernels)
    : parts_(std::move(parts)), dtype_(dtype), kernels_(kernels) {
  columns_ = parts_.front().columns();
  for (const StoredRows& part : parts_) {
    expect(part.data.dim() == 2 && part.data.is_contiguous() && part.columns() == columns_, "FrozenMatrix",
           "contiguous parts of the same width", part.data);
    expect_on(part.blocks == nullptr ? parts_.front().data.device() : at::Device(at::kCPU), part.data, "FrozenMatrix");
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

at::Device FrozenMatrix::device() const {
  return parts_.empty() ? at::Device(at::kCPU) : parts_.front().data.device();
}

bool FrozenMatrix::held_as(at::ScalarType dtype) const {
  return parts_.size() == 1 && parts_.front().blocks == nullptr && parts_.front().data.scalar_type() == dtype;
}

at::Tensor FrozenMatrix::piece(Range rows, Range columns, at::ScalarType dtype) const {
  at::Tensor out = at::empty({rows.size(), columns.size()}, parts_.front().data.options().dtype(dtype));
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
  common_device("FrozenMatrix.forward", x, bias, parts_.front().data);
  if (held_as(x.scalar_type())) return dense_forward(x, parts_.front().data, bias);
  const int64_t step = std::max<int64_t>(64, piece_values / columns_);
  if (kernels_ == Kernels::own && x.size(0) <= few_rows && all_blocks() && !bias.defined()) return forward_few(x.contiguous());
  if (step >= rows_) return dense_forward(x, piece({0, rows_}, {0, columns_}, x.scalar_type()), bias);
  at::Tensor y = at::empty({x.size(0), rows_}, x.options());
  for (int64_t begin = 0; begin < rows_; begin += step) {
    const int64_t end = std::min(begin + step, rows_);
    const at::Tensor part_of_bias = bias.defined() ? bias.slice(0, begin, end) : bias;
    y.slice(1, begin, end).copy_(dense_forward(x, piece({begin, end}, {0, columns_}, x.scalar_type()), part_of_bias));
  }
  return y;
}

at::Tensor FrozenMatrix::forward_wide(const at::Tensor& x) const {
  const bool packs = kernels_ == Kernels::own && device().is_cpu() && has_packed_products() && columns_ % 32 == 0;
  if (packs && x.is_cpu() && x.scalar_type() == at::kBFloat16 && held_as(at::kBFloat16))
    return table_product(parts_.front().data, x.contiguous());
  // Only CUDA has a product of bf16 that ends in fp32.
  if (x.is_cuda() && x.scalar_type() == at::kBFloat16 && held_as(at::kBFloat16))
    return at::mm(x, parts_.front().data.t(), at::kFloat);
  return forward(x.to(arithmetic_type(x.scalar_type())));
}

// Pieces of columns, so that each product sums over all rows at once, as that of the whole matrix does.
at::Tensor FrozenMatrix::backward_input(const at::Tensor& dy) const {
  expect(dy.dim() == 2 && dy.size(1) == rows_, "FrozenMatrix.backward_input", dept::str("[N, ", rows_, "]"), dy);
  common_device("FrozenMatrix.backward_input", dy, parts_.front().data);
  if (held_as(dy.scalar_type())) return dense_backward(dy, parts_.front().data);
  const int64_t step = std::max<int64_t>(1, piece_values / rows_ / column_step) * column_step;
  if (step >= columns_) return dense_backward(dy, piece({0, rows_}, {0, columns_}, dy.scalar_type()));
  at::Tensor dx = at::empty({dy.size(0), columns_}, dy.options());
  for (int64_t begin = 0; begin < columns_; begin += step) {
    const int64_t end = std::min(begin + step, columns_);
    dx.slice(1, begin, end).copy_(dense_backward(dy, piece({0, rows_}, {begin, end}, dy.scalar_type())));
  }
  return dx;
}

at::Tensor FrozenMatrix::dense() const {
  return held_as(dtype_) ? parts_.front().data : piece({0, rows_}, {0, columns_}, dtype_);
}

at::Tensor FrozenMatrix::select(const at::Tensor& ids, at::ScalarType dtype) const {
  const StoredRows& table = parts_.front();
  expect(parts_.size() == 1, "FrozenMatrix.select", "a matrix of one part", table.data);
  common_device("FrozenMatrix.select", table.data, ids);
  return FrozenMatrix({{table.data.index_select(0, ids), table.blocks}}, dtype).dense();
}

}  // namespace dept::kernels
