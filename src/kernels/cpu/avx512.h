// What kernels written for AVX-512 share. Functions that use it stand between push_options and pop_options of the same target and
// are called only where has_packed_products() or the like says so.
#pragma once

#include <c10/util/BFloat16.h>
#include <immintrin.h>

#include <cstdint>
#include <cstring>

// g++ 12's own intrinsics begin with registers that are left undefined on purpose.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

#define DEPT_AVX512_BEGIN _Pragma("GCC push_options") _Pragma("GCC target(\"avx512f,avx512bw,avx512vl,avx512dq,avx512bf16\")")
#define DEPT_AVX512_END _Pragma("GCC pop_options")

namespace dept::kernels::avx512 {

inline constexpr int64_t lanes = 16;

DEPT_AVX512_BEGIN

inline __m512 load_bf16(const c10::BFloat16* from) {
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

inline void store_bf16(c10::BFloat16* to, __m512 x) {
  const __m256bh rounded = _mm512_cvtneps_pbh(x);
  std::memcpy(to, &rounded, sizeof rounded);
}

// The same by the type of what is there.
inline __m512 load_numbers(const c10::BFloat16* from) {
  return load_bf16(from);
}
inline __m512 load_numbers(const float* from) {
  return _mm512_loadu_ps(from);
}

inline __mmask16 first_lanes(int64_t count) {
  return count >= lanes ? 0xFFFF : count <= 0 ? 0 : static_cast<__mmask16>((1U << count) - 1);
}

/// exp to about 1 unit in the last place, as fast_exp of simd.h.
inline __m512 exponential(__m512 x) {
  x = _mm512_max_ps(_mm512_min_ps(x, _mm512_set1_ps(88.0F)), _mm512_set1_ps(-87.3F));
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504F)), _MM_FROUND_TO_NEAREST_INT);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375F), x);
  r = _mm512_fmadd_ps(n, _mm512_set1_ps(2.12194440e-4F), r);
  __m512 p = _mm512_set1_ps(1.0F / 5040);
  for (const float term : {1.0F / 720, 1.0F / 120, 1.0F / 24, 1.0F / 6, 0.5F, 1.0F, 1.0F})
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(term));
  return _mm512_scalef_ps(p, n);
}

/// tanh to about 2^-23, whatever its size.
inline __m512 hyperbolic_tangent(__m512 x) {
  const __m512 one = _mm512_set1_ps(1.0F), two = _mm512_set1_ps(2.0F);
  return _mm512_sub_ps(one, _mm512_div_ps(two, _mm512_add_ps(exponential(_mm512_mul_ps(two, x)), one)));
}

/// out[c] = column c of 16 rows of 32-bit numbers.
inline void transpose(const __m512i* row, __m512i* out) {
  __m512i pairs[16], fours[16];
  for (int i = 0; i < 16; i += 2) {
    pairs[i] = _mm512_unpacklo_epi32(row[i], row[i + 1]);
    pairs[i + 1] = _mm512_unpackhi_epi32(row[i], row[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    fours[i] = _mm512_unpacklo_epi64(pairs[i], pairs[i + 2]);
    fours[i + 1] = _mm512_unpackhi_epi64(pairs[i], pairs[i + 2]);
    fours[i + 2] = _mm512_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
    fours[i + 3] = _mm512_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
  }
  for (int c = 0; c < 4; ++c) {  // fours[4i + c] holds columns c, 4 + c, 8 + c, 12 + c of rows 4i .. 4i + 3
    const __m512i even01 = _mm512_shuffle_i32x4(fours[c], fours[4 + c], 0x88);
    const __m512i odd01 = _mm512_shuffle_i32x4(fours[c], fours[4 + c], 0xDD);
    const __m512i even23 = _mm512_shuffle_i32x4(fours[8 + c], fours[12 + c], 0x88);
    const __m512i odd23 = _mm512_shuffle_i32x4(fours[8 + c], fours[12 + c], 0xDD);
    out[c] = _mm512_shuffle_i32x4(even01, even23, 0x88);
    out[8 + c] = _mm512_shuffle_i32x4(even01, even23, 0xDD);
    out[4 + c] = _mm512_shuffle_i32x4(odd01, odd23, 0x88);
    out[12 + c] = _mm512_shuffle_i32x4(odd01, odd23, 0xDD);
  }
}

/// Two rows of 32 bf16 numbers as one row of pairs: those of the first 16 columns, then of the others.
struct Pairs {
  __m512i low, high;
};
inline Pairs interleave(__m512i even, __m512i odd) {
  alignas(64) static constexpr uint16_t first[32] = {0, 32, 1, 33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39,
                                                     8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
  const __m512i low = _mm512_load_si512(first), high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
  return {_mm512_permutex2var_epi16(even, low, odd), _mm512_permutex2var_epi16(even, high, odd)};
}

DEPT_AVX512_END

}  // namespace dept::kernels::avx512
