// The units of feed-forward blocks on rows of a product's tile, with AVX-512: values, and what backward needs of their slopes.
#pragma once

#include <c10/util/BFloat16.h>

#include <cstdint>
#include <type_traits>

#include "dept/kernels/activation.h"
#include "kernels/cpu/avx512.h"

namespace dept::kernels {

// Beside bf16 numbers a slope is kept in one byte, as steps of 1/200 from -27 on: those of GELU and SiLU lie between -0.131 and
// 1.131, 0 and 1 are exact, and the others are off by at most 0.0025, where bf16 is by 0.002 near 1. Beside fp32 it is fp32.
inline constexpr int32_t slope_zero = 27;
inline constexpr float slope_steps = 200;
template <class C>
using Slope = std::conditional_t<std::is_same_v<C, float>, float, uint8_t>;

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

/// s = sigmoid(u), and f = x s with du/dx.
inline ValueSlope times_sigmoid(__m512 x, __m512 u, __m512 u_slope) {
  const __m512 one = _mm512_set1_ps(1.0F);
  const __m512 s = avx512::reciprocal(_mm512_add_ps(one, avx512::exponential(_mm512_sub_ps(_mm512_setzero_ps(), u))));
  const __m512 value = _mm512_mul_ps(x, s);
  return {value, _mm512_fmadd_ps(_mm512_mul_ps(value, _mm512_sub_ps(one, s)), u_slope, s)};
}

/// x Phi(x) by Abramowitz & Stegun 7.1.26, as activation.cpp has it; its exponential is the density's, too.
inline ValueSlope gelu(__m512 x) {
  const __m512 one = _mm512_set1_ps(1.0F), z = _mm512_mul_ps(_mm512_abs_ps(x), _mm512_set1_ps(0.70710678F));
  const __m512 t = avx512::reciprocal(_mm512_fmadd_ps(z, _mm512_set1_ps(0.3275911F), one));
  const __m512 density = avx512::exponential(_mm512_mul_ps(z, _mm512_sub_ps(_mm512_setzero_ps(), z)));
  __m512 p = _mm512_set1_ps(0.5F * 1.061405429F);
  for (const float term : {-1.453152027F, 1.421413741F, -0.284496736F, 0.254829592F})
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(0.5F * term));
  const __m512 tail = _mm512_mul_ps(_mm512_mul_ps(p, t), density);
  const __mmask16 negative = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ);
  const __m512 cdf = _mm512_mask_mov_ps(_mm512_sub_ps(one, tail), negative, tail);
  return {_mm512_mul_ps(x, cdf), _mm512_fmadd_ps(_mm512_mul_ps(x, _mm512_set1_ps(0.39894228F)), density, cdf)};
}

/// Exact to fp32.
template <Activation f>
ValueSlope value_and_slope(__m512 x) {
  if constexpr (f == Activation::relu) {
    const __mmask16 positive = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GT_OQ);
    return {_mm512_maskz_mov_ps(positive, x), _mm512_maskz_mov_ps(positive, _mm512_set1_ps(1.0F))};
  } else if constexpr (f == Activation::gelu) {
    return gelu(x);
  } else if constexpr (f == Activation::gelu_new) {
    constexpr float linear = 1.59576912160573F, cubic = linear * 0.044715F;  // 2 sqrt(2 / pi)
    const __m512 square = _mm512_mul_ps(x, x), from = _mm512_set1_ps(linear);
    return times_sigmoid(x, _mm512_mul_ps(x, _mm512_fmadd_ps(square, _mm512_set1_ps(cubic), from)),
                         _mm512_fmadd_ps(square, _mm512_set1_ps(3 * cubic), from));
  } else {
    return times_sigmoid(x, x, _mm512_set1_ps(1.0F));
  }
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
inline void store_slope(float* to, __m512 slope) {
  _mm512_storeu_ps(to, slope);
}
inline __m512 load_slope(const float* from) {
  return _mm512_loadu_ps(from);
}

DEPT_AVX512_END

}  // namespace dept::kernels
