// Products of bf16 matrices with fp32 sums on CPUs that multiply bf16 (AMX, AVX512-BF16). The right-hand side is packed once in
// panels; the left-hand side is packed block by block into a thread's scratch. A finished tile goes to its consumer while it is
// in the core's own caches, so what follows a product costs no pass over memory.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/FunctionRef.h>

#include <cstdint>

#include "kernels/cpu/panel_product.h"

namespace dept::kernels {

/// B [k, n] of a product A B.
struct PackedMatrix {
  int64_t k = 0, n = 0;
  /// bf16 [ceil(n / 32), k / 2, 32, 2]: B[2i + j, 32p + c] at [p, i, c, j]; zeros beyond n
  at::Tensor data;

  // Of whole numbers of 8 bits (int8_matrix.h), B = diag(in_scale) Q diag(out_scale): data is Q, int8 [ceil(n / 32),
  // 16 ceil(k / 64), 32, 4], zeros beyond k and n.
  at::Tensor in_scale{}, out_scale{};  ///< fp32 [k] and [n], or undefined: 1
  at::Tensor column_sum{};             ///< int32 [32 ceil(n / 32)] of Q
  bool paired = false;                 ///< the columns are to be met a panel of the first half, then its like of the other

  bool defined() const { return data.defined(); }
  bool int8() const { return data.scalar_type() == at::kChar; }
  int64_t panels() const { return round_up(n, panel_columns) / panel_columns; }
  /// Of 64 bytes of a column.
  int64_t steps() const { return round_up(k * data.element_size(), step_bytes) / step_bytes; }
  /// Which panel of data is met as panel p.
  int64_t place(int64_t p) const { return !paired ? p : p % 2 * (panels() / 2) + p / 2; }
  /// Panel p, as they are met, from a step on.
  const char* panel(int64_t p, int64_t step = 0) const {
    return static_cast<const char*>(data.const_data_ptr()) + place(p) * data.stride(0) * data.element_size() +
           step * panel_step_bytes;
  }
  /// Some of its rows or columns, not of whole numbers, first and count multiples of 32: a view.
  PackedMatrix rows(int64_t first, int64_t count) const { return {count, n, data.narrow(1, first / 2, count / 2)}; }
  PackedMatrix columns(int64_t first, int64_t count) const {
    return {k, count, data.narrow(0, first / panel_columns, count / panel_columns)};
  }
};

/// Memory for packed numbers, not set to anything.
at::Tensor packed_memory(at::IntArrayRef sizes, at::ScalarType dtype);
/// Sizes that can be packed: n a multiple of 16, k one of 32.
bool can_pack(int64_t k, int64_t n);
/// w bf16 [n, k] -> B = w^T.
PackedMatrix pack_transposed(const at::Tensor& w);
/// The packed transpose of B.
PackedMatrix transposed(const PackedMatrix& b);
/// B^T as [n, k]: what pack_transposed took; of whole numbers as bf16.
at::Tensor unpacked(const PackedMatrix& b);

/// Rows row .. and columns column .. of a product, up to tile_rows by tile_columns.
struct Tile {
  int64_t row, rows, column, columns;
  const float* c;
  int64_t stride;  ///< of c's rows
  const float* at(int64_t r) const { return c + r * stride; }
};
inline constexpr int64_t tile_rows = 16, tile_columns = 128;
using TileSink = c10::function_ref<void(const Tile&)>;
using RowsSink = c10::function_ref<void(int64_t first, int64_t count)>;

/// Makes A B tile by tile, a bf16 [rows, k], its rows `stride` numbers apart, and calls sink for each, on several threads; `done`
/// (may be null) for rows whose tiles all have been given, by the thread that made the last.
void multiply(const c10::BFloat16* a, int64_t rows, int64_t stride, const PackedMatrix& b, TileSink sink, RowsSink done = {});

}  // namespace dept::kernels
