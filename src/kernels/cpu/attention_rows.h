// Rows of attention's scores with AVX-512, for attention_tiles.cpp: softmax and its gradient with the cap, the bias and the
// dropout.
#pragma once

#include <c10/util/BFloat16.h>

#include <cmath>
#include <cstdint>

#include "kernels/cpu/avx512.h"

namespace dept::kernels {

DEPT_AVX512_BEGIN

inline void next_head_to_write(c10::BFloat16* from, int64_t k) {
  __builtin_prefetch(from + k, 1, 2);
}

inline void write_row(const float* from, c10::BFloat16* to, int64_t count) {
  for (int64_t i = 0; i < count; i += 2 * avx512::lanes) next_head_to_write(to + i, count);
  for (int64_t i = 0; i < count; i += avx512::lanes) avx512::store_bf16(to + i, _mm512_loadu_ps(from + i));
}

inline void add_row(const float* from, float* to, int64_t count) {
  for (int64_t i = 0; i < count; i += avx512::lanes)
    _mm512_storeu_ps(to + i, _mm512_add_ps(_mm512_loadu_ps(to + i), _mm512_loadu_ps(from + i)));
}

/// One query row: its scores, of which those from `first` to `visible` are seen, and what makes probabilities of them.
struct RowOptions {
  int64_t first, visible, width;  ///< width: to where a row is written, zeros where nothing is seen
  float scale;
  float cap;                ///< 0: none
  float* slope;             ///< with a cap: scratch for its derivative at each score
  const float* bias;        ///< null: none
  int64_t biased;           ///< the keys before this one get it
  const uint16_t* numbers;  ///< null: no dropout
  uint32_t threshold;
  float kept_scale;

  int64_t begin() const { return first / avx512::lanes * avx512::lanes; }
  __mmask16 seen(int64_t j) const { return _kandn_mask16(avx512::first_lanes(first - j), avx512::first_lanes(visible - j)); }
  __mmask16 with_bias(int64_t j) const { return _kandn_mask16(avx512::first_lanes(first - j), avx512::first_lanes(biased - j)); }
  __m512 score(const float* s, int64_t j) const {
    __m512 x = _mm512_mul_ps(_mm512_loadu_ps(s + j), _mm512_set1_ps(scale));
    if (cap > 0) {
      const __m512 share = avx512::hyperbolic_tangent(_mm512_mul_ps(x, _mm512_set1_ps(1.0F / cap)));
      _mm512_storeu_ps(slope + j, _mm512_fnmadd_ps(share, share, _mm512_set1_ps(1.0F)));
      x = _mm512_mul_ps(share, _mm512_set1_ps(cap));
    }
    return bias != nullptr ? _mm512_mask_add_ps(x, with_bias(j), x, _mm512_maskz_loadu_ps(with_bias(j), bias + j)) : x;
  }
  /// What dropout multiplies with, 0 beyond the visible keys.
  __m512 factor(int64_t j) const {
    const __mmask16 mask = seen(j);
    if (numbers == nullptr) return _mm512_maskz_mov_ps(mask, _mm512_set1_ps(1.0F));
    const __m256i drawn = _mm256_maskz_loadu_epi16(mask, numbers + j);
    const __mmask16 kept = _mm256_mask_cmpge_epu16_mask(mask, drawn, _mm256_set1_epi16(static_cast<int16_t>(threshold)));
    return _mm512_maskz_mov_ps(kept, _mm512_set1_ps(kept_scale));
  }
};

/// p = dropout(softmax(scores)) in bf16; s is overwritten. Returns the log-sum-exp.
inline float softmax_row(float* s, const RowOptions& o, c10::BFloat16* p) {
  __m512 top = _mm512_set1_ps(-INFINITY), sum = _mm512_setzero_ps();
  for (int64_t j = o.begin(); j < o.visible; j += avx512::lanes) {
    const __m512 x = o.score(s, j);
    _mm512_storeu_ps(s + j, x);
    top = _mm512_mask_max_ps(top, o.seen(j), top, x);
  }
  const float highest = _mm512_reduce_max_ps(top);
  for (int64_t j = o.begin(); j < o.visible; j += avx512::lanes) {
    const __m512 e =
        _mm512_maskz_mov_ps(o.seen(j), avx512::exponential(_mm512_sub_ps(_mm512_loadu_ps(s + j), _mm512_set1_ps(highest))));
    _mm512_storeu_ps(s + j, e);
    sum = _mm512_add_ps(sum, e);
  }
  const float total = _mm512_reduce_add_ps(sum);
  const __m512 inverse = _mm512_set1_ps(1.0F / total);
  int64_t j = 0;
  for (; j < o.begin(); j += avx512::lanes) avx512::store_bf16(p + j, _mm512_setzero_ps());
  for (; j < o.visible; j += avx512::lanes)
    avx512::store_bf16(p + j, _mm512_mul_ps(_mm512_mul_ps(_mm512_loadu_ps(s + j), inverse), o.factor(j)));
  for (; j < o.width; j += avx512::lanes) avx512::store_bf16(p + j, _mm512_setzero_ps());
  return highest + std::log(total);
}

/// From q k and d loss / d dropout(p): s becomes dropout(p), dp the gradient of q k, also in bf16 as ds.
inline void gradient_row(float* s, float* dp, float lse, const RowOptions& o, c10::BFloat16* ds) {
  __m512 sum = _mm512_setzero_ps();
  for (int64_t j = o.begin(); j < o.visible; j += avx512::lanes) {
    const __m512 p = _mm512_maskz_mov_ps(o.seen(j), avx512::exponential(_mm512_sub_ps(o.score(s, j), _mm512_set1_ps(lse))));
    const __m512 factor = o.factor(j), through = _mm512_mul_ps(_mm512_loadu_ps(dp + j), factor);
    sum = _mm512_fmadd_ps(p, through, sum);
    _mm512_storeu_ps(s + j, p);
    _mm512_storeu_ps(dp + j, through);
  }
  const __m512 mean = _mm512_set1_ps(_mm512_reduce_add_ps(sum));
  const auto clear = [&](int64_t j) {
    _mm512_storeu_ps(s + j, _mm512_setzero_ps());
    _mm512_storeu_ps(dp + j, _mm512_setzero_ps());
    avx512::store_bf16(ds + j, _mm512_setzero_ps());
  };
  int64_t j = 0;
  for (; j < o.begin(); j += avx512::lanes) clear(j);
  for (; j < o.visible; j += avx512::lanes) {
    const __m512 p = _mm512_loadu_ps(s + j);
    __m512 weight = _mm512_mul_ps(p, _mm512_set1_ps(o.scale));
    if (o.cap > 0) weight = _mm512_mul_ps(weight, _mm512_loadu_ps(o.slope + j));
    const __m512 d = _mm512_mul_ps(weight, _mm512_sub_ps(_mm512_loadu_ps(dp + j), mean));
    _mm512_storeu_ps(s + j, _mm512_mul_ps(p, o.factor(j)));
    _mm512_storeu_ps(dp + j, d);
    avx512::store_bf16(ds + j, d);
  }
  for (; j < o.width; j += avx512::lanes) clear(j);
}

DEPT_AVX512_END

}  // namespace dept::kernels
