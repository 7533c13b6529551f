// How attention packs the rows of a head for products (panel_product.h).
#pragma once

#include <c10/util/BFloat16.h>

#include <cstdint>
#include <cstring>

#include "kernels/cpu/avx512.h"
#include "kernels/cpu/panel_product.h"

namespace dept::kernels {

DEPT_AVX512_BEGIN

/// Tasks take the heads of a token one after the other: its next ones lie behind.
inline void next_head(const c10::BFloat16* from, int64_t k) {
  __builtin_prefetch(from + k, 0, 2);
}

/// The right-hand side X^T [k, rows] of a product, packed, from rows of X: row(j) is where row j stands.
template <class Row>
void pack_transposed_rows(int64_t rows, int64_t k, c10::BFloat16* to, Row&& row) {
  for (int64_t j = 0; j < round_up(rows, avx512::lanes); j += avx512::lanes) {
    c10::BFloat16* panel = to + j / panel_columns * k * panel_columns + j % panel_columns * 2;
    for (int64_t c = 0; c < k; c += 2 * avx512::lanes) {
      __m512i in[16], out[16];
      for (int64_t r = 0; r < avx512::lanes; ++r) {
        in[r] = j + r < rows ? _mm512_loadu_si512(row(j + r) + c) : _mm512_setzero_si512();
        if (j + r < rows) next_head(row(j + r) + c, k);
      }
      avx512::transpose(in, out);
      for (int64_t i = 0; i < avx512::lanes; ++i) _mm512_storeu_si512(panel + (c / 2 + i) * panel_columns * 2, out[i]);
    }
  }
}

/// The right-hand side X [depth, k] of a product, packed, depth being rows rounded up to 32 with zeros.
template <class Row>
void pack_rows(int64_t rows, int64_t depth, int64_t k, c10::BFloat16* to, Row&& row) {
  for (int64_t j = 0; j < depth; j += 2) {
    for (int64_t c = 0; c < k; c += 32) {
      const __m512i even = j < rows ? _mm512_loadu_si512(row(j) + c) : _mm512_setzero_si512();
      const __m512i odd = j + 1 < rows ? _mm512_loadu_si512(row(j + 1) + c) : _mm512_setzero_si512();
      c10::BFloat16* out = to + c / panel_columns * depth * panel_columns + (j / 2 * panel_columns + c % panel_columns) * 2;
      const avx512::Pairs pairs = avx512::interleave(even, odd);
      _mm512_storeu_si512(out, pairs.low);
      _mm512_storeu_si512(out + 32, pairs.high);
    }
  }
}

/// to [columns, ld_to] = the transpose of from [rows, ld]; rows and columns multiples of 16.
inline void transpose_to_bf16(const float* from, int64_t ld, int64_t rows, int64_t columns, c10::BFloat16* to, int64_t ld_to) {
  for (int64_t r = 0; r < rows; r += avx512::lanes)
    for (int64_t c = 0; c < columns; c += avx512::lanes) {
      __m512i in[16], out[16];
      for (int64_t i = 0; i < avx512::lanes; ++i) in[i] = _mm512_loadu_si512(from + (r + i) * ld + c);
      avx512::transpose(in, out);
      for (int64_t i = 0; i < avx512::lanes; ++i) {
        const __m256bh rounded = _mm512_cvtneps_pbh(_mm512_castsi512_ps(out[i]));
        std::memcpy(to + (c + i) * ld_to + r, &rounded, sizeof rounded);
      }
    }
}

DEPT_AVX512_END

}  // namespace dept::kernels
