// The units of feed-forward blocks on rows of a product's tile, with AVX-512: values, and what backward needs of their slopes.
#pragma once

#include <cstdint>

#include "dept/kernels/activation.h"
#include "kernels/cpu/avx512.h"

namespace dept::kernels {

// A slope is kept in one byte, as steps of 1/200 from -27 on: those of GELU and SiLU lie between -0.131 and 1.131, 0 and 1 are
// exact, and the others are off by at most 0.0025, where bf16 is by 0.002 near 1.
inline constexpr int32_t slope_zero = 27;
inline constexpr float slope_steps = 200;

/// The gate g of x g(x), GELU's or SiLU's, for x >= 0 in cubic pieces, each from its place on: g = ((c3 t + c2) t + c1) t + c0.
struct GateTable {
  static constexpr int pieces = 32;
  static constexpr float last = 31.999998F;  ///< beyond the last piece g is 1

  alignas(64) float terms[4][pieces];
  float pieces_in_one;  ///< of x

  /// relu has none.
  static const GateTable& of(Activation f);
};

DEPT_AVX512_BEGIN

/// f(x) and its derivative.
struct ValueSlope {
  __m512 value, slope;
};

inline ValueSlope relu_and_slope(__m512 x) {
  const __mmask16 positive = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GT_OQ);
  return {_mm512_maskz_mov_ps(positive, x), _mm512_maskz_mov_ps(positive, _mm512_set1_ps(1.0F))};
}

/// f = x g(x) with g(-x) = 1 - g(x), by the table of g: exact to bf16.
inline ValueSlope value_and_slope(const GateTable& table, __m512 x) {
  const __m512 one = _mm512_set1_ps(1.0F), most = _mm512_set1_ps(GateTable::last);
  const __m512 place = _mm512_min_ps(_mm512_abs_ps(_mm512_mul_ps(x, _mm512_set1_ps(table.pieces_in_one))), most);
  const __m512i piece = _mm512_cvttps_epi32(place);
  const __m512 t = _mm512_sub_ps(place, _mm512_cvtepi32_ps(piece));
  const auto term = [&](int i) {
    return _mm512_permutex2var_ps(_mm512_load_ps(table.terms[i]), piece, _mm512_load_ps(table.terms[i] + avx512::lanes));
  };
  const __m512 linear = term(1), cubic = term(3);
  const __m512 bent = _mm512_fmadd_ps(cubic, t, term(2));
  const __m512 g = _mm512_fmadd_ps(_mm512_fmadd_ps(bent, t, linear), t, term(0));
  const __m512 rise = _mm512_fmadd_ps(_mm512_fmadd_ps(cubic, t, _mm512_add_ps(bent, bent)), t, linear);
  const __m512 slope = _mm512_fmadd_ps(place, rise, g);
  const __mmask16 negative = _mm512_movepi32_mask(_mm512_castps_si512(x));
  return {_mm512_mul_ps(x, _mm512_mask_sub_ps(g, negative, one, g)), _mm512_mask_sub_ps(slope, negative, one, slope)};
}

inline void store_slope(uint8_t* to, __m512 slope) {
  const __m512 steps = _mm512_fmadd_ps(slope, _mm512_set1_ps(slope_steps), _mm512_set1_ps(float{slope_zero}));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtusepi32_epi8(_mm512_cvtps_epi32(steps)));
}
inline __m512 load_slope(const uint8_t* from) {
  const __m512i bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  const __m512i steps = _mm512_sub_epi32(bytes, _mm512_set1_epi32(slope_zero));
  return _mm512_mul_ps(_mm512_cvtepi32_ps(steps), _mm512_set1_ps(1.0F / slope_steps));
}

DEPT_AVX512_END

}  // namespace dept::kernels
