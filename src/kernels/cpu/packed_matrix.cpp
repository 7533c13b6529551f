#include "kernels/cpu/packed_matrix.h"

#include <ATen/EmptyTensor.h>
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <algorithm>

#include "dept/tensor/retained_memory.h"
#include "kernels/cpu/avx512.h"
#include "kernels/cpu/int8_matrix.h"
#include "kernels/cpu/simd.h"

namespace dept::kernels {
namespace {

// What panels are made of: two bf16 numbers.
using Pair = uint32_t;

const Pair* pairs_of(const PackedMatrix& b, int64_t panel) {
  return reinterpret_cast<const Pair*>(b.panel(panel));
}

DEPT_AVX512_BEGIN

// The panel of `columns` rows of w [columns, depth].
void pack_panel(const Pair* w, int64_t depth, int64_t columns, Pair* panel) {
  __m512i rows[16], turned[16];
  for (int64_t column = 0; column < columns; column += 16)
    for (int64_t i = 0; i < depth; i += 16) {
      for (int r = 0; r < 16; ++r) rows[r] = _mm512_loadu_si512(w + (column + r) * depth + i);
      avx512::transpose(rows, turned);
      for (int r = 0; r < 16; ++r) _mm512_storeu_si512(panel + (i + r) * panel_columns + column, turned[r]);
    }
}

// A panel of the transpose: rows first .. first + 31 of b.
void turn_panel(const PackedMatrix& b, int64_t first, Pair* to) {
  __m512i pairs[16], rows[16];
  for (int64_t column = 0; column < b.n; column += 16) {
    const Pair* from = pairs_of(b, column / panel_columns) + first / 2 * panel_columns + column % panel_columns;
    for (int r = 0; r < 16; ++r) pairs[r] = _mm512_loadu_si512(from + r * panel_columns);
    avx512::transpose(pairs, rows);  // row r: 32 numbers of b's column `column` + r
    for (int r = 0; r < 16; r += 2) {
      const avx512::Pairs both = avx512::interleave(rows[r], rows[r + 1]);
      Pair* out = to + (column + r) / 2 * panel_columns;
      _mm512_storeu_si512(out, both.low);
      _mm512_storeu_si512(out + 16, both.high);
    }
  }
}

DEPT_AVX512_END

// A matrix of this size to be filled: beyond its n columns stand zeros.
PackedMatrix unfilled(int64_t k, int64_t n) {
  PackedMatrix b{k, n, {}};
  b.data = packed_memory({b.panels(), k / 2, panel_columns, 2}, at::kBFloat16);
  if (n % panel_columns != 0) b.data[b.panels() - 1].zero_();
  return b;
}

Pair* panel_to_fill(const PackedMatrix& b, int64_t p) {
  return static_cast<Pair*>(b.data.mutable_data_ptr()) + p * b.k / 2 * panel_columns;
}

}  // namespace

at::Tensor packed_memory(at::IntArrayRef sizes, at::ScalarType dtype) {
  return at::detail::empty_generic(sizes, &lasting_memory(), c10::DispatchKeySet(c10::DispatchKey::CPU), dtype, std::nullopt);
}

bool can_pack(int64_t k, int64_t n) {
  return k > 0 && n > 0 && k % 32 == 0 && n % 16 == 0;
}

PackedMatrix pack_transposed(const at::Tensor& w) {
  expect(w.dim() == 2 && w.is_contiguous() && w.scalar_type() == at::kBFloat16 && can_pack(w.size(1), w.size(0)),
         "pack_transposed", "bf16 [n, k], n a multiple of 16, k one of 32", w);
  PackedMatrix packed = unfilled(w.size(1), w.size(0));
  const auto* from = static_cast<const Pair*>(w.const_data_ptr());
  const int64_t depth = packed.k / 2;
  at::parallel_for(0, packed.panels(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p)
      pack_panel(from + p * panel_columns * depth, depth, std::min(panel_columns, packed.n - p * panel_columns),
                 panel_to_fill(packed, p));
  });
  return packed;
}

PackedMatrix transposed(const PackedMatrix& b) {
  if (b.int8()) return int8_transposed(b);
  expect(can_pack(b.n, b.k), "transposed", "sizes that are multiples of 32", b.data);
  PackedMatrix packed = unfilled(b.n, b.k);
  at::parallel_for(0, packed.panels(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) turn_panel(b, p * panel_columns, panel_to_fill(packed, p));
  });
  return packed;
}

at::Tensor unpacked(const PackedMatrix& b) {
  if (b.int8()) return int8_unpacked(b);
  at::Tensor w = at::empty({b.n, b.k}, b.data.options());
  auto* to = static_cast<Pair*>(w.mutable_data_ptr());
  const int64_t depth = b.k / 2;
  at::parallel_for(0, b.n, panel_columns, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const Pair* from = pairs_of(b, n / panel_columns) + n % panel_columns;
      for (int64_t i = 0; i < depth; ++i) to[n * depth + i] = from[i * panel_columns];
    }
  });
  return w;
}

}  // namespace dept::kernels
