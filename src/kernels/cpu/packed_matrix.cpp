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

// What panels are made of: fp32 numbers, or pairs of bf16 ones.
using Word = uint32_t;

const Word* words(const PackedMatrix& b, int64_t panel) {
  return reinterpret_cast<const Word*>(b.panel(panel));
}
int64_t numbers_in_word(at::ScalarType dtype) {
  return dtype == at::kFloat ? 1 : 2;
}

DEPT_AVX512_BEGIN

// The panel of `columns` rows of w [columns, depth].
void pack_panel(const Word* w, int64_t depth, int64_t columns, Word* panel) {
  __m512i rows[16], turned[16];
  for (int64_t column = 0; column < columns; column += 16)
    for (int64_t i = 0; i < depth; i += 16) {
      for (int r = 0; r < 16; ++r) rows[r] = _mm512_loadu_si512(w + (column + r) * depth + i);
      avx512::transpose(rows, turned);
      for (int r = 0; r < 16; ++r) _mm512_storeu_si512(panel + (i + r) * panel_columns + column, turned[r]);
    }
}

// A panel of the transpose: rows first .. first + 31 of b, of bf16 numbers.
void turn_panel_of_pairs(const PackedMatrix& b, int64_t first, Word* to) {
  __m512i pairs[16], rows[16];
  for (int64_t column = 0; column < b.n; column += 16) {
    const Word* from = words(b, column / panel_columns) + first / 2 * panel_columns + column % panel_columns;
    for (int r = 0; r < 16; ++r) pairs[r] = _mm512_loadu_si512(from + r * panel_columns);
    avx512::transpose(pairs, rows);  // row r: 32 numbers of b's column `column` + r
    for (int r = 0; r < 16; r += 2) {
      const avx512::Pairs both = avx512::interleave(rows[r], rows[r + 1]);
      Word* out = to + (column + r) / 2 * panel_columns;
      _mm512_storeu_si512(out, both.low);
      _mm512_storeu_si512(out + 16, both.high);
    }
  }
}
// The same of fp32 numbers.
void turn_panel_of_singles(const PackedMatrix& b, int64_t first, Word* to) {
  __m512i rows[16], turned[16];
  for (int64_t column = 0; column < b.n; column += 16)
    for (int64_t half = 0; half < std::min(panel_columns, b.k - first); half += 16) {
      const Word* from = words(b, column / panel_columns) + (first + half) * panel_columns + column % panel_columns;
      for (int r = 0; r < 16; ++r) rows[r] = _mm512_loadu_si512(from + r * panel_columns);
      avx512::transpose(rows, turned);
      for (int r = 0; r < 16; ++r) _mm512_storeu_si512(to + (column + r) * panel_columns + half, turned[r]);
    }
}

DEPT_AVX512_END

// A matrix of this size to be filled: beyond its n columns stand zeros.
PackedMatrix unfilled(int64_t k, int64_t n, at::ScalarType dtype) {
  PackedMatrix b{k, n, {}};
  const int64_t inner = numbers_in_word(dtype);
  b.data = packed_memory({b.panels(), k / inner, panel_columns, inner}, dtype);
  if (n % panel_columns != 0) b.data[b.panels() - 1].zero_();
  return b;
}

Word* panel_to_fill(const PackedMatrix& b, int64_t p) {
  return static_cast<Word*>(b.data.mutable_data_ptr()) + p * b.k / numbers_in_word(b.data.scalar_type()) * panel_columns;
}

}  // namespace

at::Tensor packed_memory(at::IntArrayRef sizes, at::ScalarType dtype) {
  return at::detail::empty_generic(sizes, &lasting_memory(), c10::DispatchKeySet(c10::DispatchKey::CPU), dtype, std::nullopt);
}

bool can_pack(int64_t k, int64_t n) {
  return k > 0 && n > 0 && k % 32 == 0 && n % 16 == 0;
}

PackedMatrix pack_transposed(const at::Tensor& w) {
  const at::ScalarType dtype = w.scalar_type();
  expect(w.dim() == 2 && w.is_contiguous() && (dtype == at::kBFloat16 || dtype == at::kFloat) && can_pack(w.size(1), w.size(0)),
         "pack_transposed", "bf16 or fp32 [n, k], n a multiple of 16, k one of 32", w);
  PackedMatrix packed = unfilled(w.size(1), w.size(0), dtype);
  const auto* from = static_cast<const Word*>(w.const_data_ptr());
  const int64_t depth = packed.k / numbers_in_word(dtype);
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
  const at::ScalarType dtype = b.data.scalar_type();
  PackedMatrix packed = unfilled(b.n, b.k, dtype);
  const auto turn = dtype == at::kFloat ? turn_panel_of_singles : turn_panel_of_pairs;
  at::parallel_for(0, packed.panels(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) turn(b, p * panel_columns, panel_to_fill(packed, p));
  });
  return packed;
}

at::Tensor unpacked(const PackedMatrix& b) {
  if (b.int8()) return int8_unpacked(b);
  at::Tensor w = at::empty({b.n, b.k}, b.data.options());
  auto* to = static_cast<Word*>(w.mutable_data_ptr());
  const int64_t depth = b.k / numbers_in_word(b.data.scalar_type());
  at::parallel_for(0, b.n, panel_columns, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const Word* from = words(b, n / panel_columns) + n % panel_columns;
      for (int64_t i = 0; i < depth; ++i) to[n * depth + i] = from[i * panel_columns];
    }
  });
  return w;
}

}  // namespace dept::kernels
