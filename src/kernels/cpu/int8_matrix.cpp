#include "kernels/cpu/int8_matrix.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/cpu/avx512.h"
#include "kernels/cpu/simd.h"

namespace dept::kernels {
namespace {

using avx512::lanes;
using c10::BFloat16;

constexpr float most = 127;

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx512vnni")

__m512 scaled(const BFloat16* row, const float* factor, int64_t i) {
  const __m512 x = avx512::load_bf16(row + i);
  return factor != nullptr ? _mm512_mul_ps(x, _mm512_loadu_ps(factor + i)) : x;
}

// A row times `factor` as whole numbers up to 127, or those plus 128 without sign, as AVX512-VNNI takes them; step s at to + s *
// step. Returns what they are to be multiplied with.
float quantise_row(const BFloat16* row, const float* factor, int64_t count, bool unsign, char* to, int64_t step) {
  __m512 largest = _mm512_setzero_ps();
  for (int64_t i = 0; i < count; i += lanes) largest = _mm512_max_ps(largest, _mm512_abs_ps(scaled(row, factor, i)));
  const float high = _mm512_reduce_max_ps(largest);
  const __m512 to_whole = _mm512_set1_ps(high > 0 ? most / high : 0);
  const __m128i sign = _mm_set1_epi8(unsign ? static_cast<char>(0x80) : 0);
  for (int64_t i = 0; i < round_up(count, step_bytes); i += lanes) {
    __m128i whole = _mm_setzero_si128();
    if (i < count) whole = _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(scaled(row, factor, i), to_whole)));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i / step_bytes * step + i % step_bytes), _mm_xor_si128(whole, sign));
  }
  return high / most;
}

// Sums become numbers in place: less what the 128 in a row without sign added (null: nothing), times the row's scale and the
// columns' (null: 1).
void scale_row(int32_t* c, const int32_t* column_sum, float row, const float* columns, int64_t count) {
  const __m512 factor = _mm512_set1_ps(row);
  for (int64_t i = 0; i < count; i += lanes) {
    __m512i sum = _mm512_loadu_si512(c + i);
    if (column_sum != nullptr) sum = _mm512_sub_epi32(sum, _mm512_slli_epi32(_mm512_loadu_si512(column_sum + i), 7));
    const __m512 scale = columns != nullptr ? _mm512_mul_ps(factor, _mm512_loadu_ps(columns + i)) : factor;
    const __m512 x = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), scale);
    std::memcpy(c + i, &x, sizeof x);
  }
}

#pragma GCC pop_options

const float* scale_at(const at::Tensor& scale, int64_t i) {
  return scale.defined() ? scale.const_data_ptr<float>() + i : nullptr;
}

// Fours of numbers in a column of k, whole steps.
int64_t fours(int64_t k) {
  return round_up(k, step_bytes) / 4;
}

// B of this size, all 0.
PackedMatrix nothing(int64_t k, int64_t n) {
  PackedMatrix b;
  b.k = k;
  b.n = n;
  b.data = packed_memory({b.panels(), fours(k), panel_columns, 4}, at::kChar).zero_();
  b.column_sum = at::zeros({b.panels() * panel_columns}, at::TensorOptions(at::kInt));
  return b;
}

// Where column n of a B with k rows has row i.
int64_t place(int64_t k, int64_t i, int64_t n) {
  return ((n / panel_columns * fours(k) + i / 4) * panel_columns + n % panel_columns) * 4 + i % 4;
}

// Sets all of B, value(i, n) being row i of column n.
template <class Value>
void fill(PackedMatrix& b, Value&& value) {
  auto* to = b.data.mutable_data_ptr<int8_t>();
  auto* sum = b.column_sum.mutable_data_ptr<int32_t>();
  at::parallel_for(0, b.n, panel_columns, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n)
      for (int64_t i = 0; i < b.k; ++i) sum[n] += to[place(b.k, i, n)] = value(i, n);
  });
}

}  // namespace

void quantise_rows(const BFloat16* a, int64_t stride, int64_t rows, const PackedMatrix& b, PackedRows to, float* scale) {
  for (int64_t r = 0; r < rows; ++r)
    scale[r] = quantise_row(a + r * stride, scale_at(b.in_scale, 0), b.k, !has_amx(), to.at(r, 0), to.step);
}

// Panel by panel, as b's are met.
void scale_sums(const BlockSums<int32_t>& sums, const PackedMatrix& b, const float* scale) {
  for (int64_t j = 0; j < sums.columns; j += panel_columns) {
    const int64_t column = b.place((sums.column + j) / panel_columns) * panel_columns;
    const int32_t* more = has_amx() ? nullptr : b.column_sum.const_data_ptr<int32_t>() + column;
    for (int64_t r = 0; r < sums.rows; ++r)
      scale_row(sums.c + r * sums.ldc + j, more, scale[r], scale_at(b.out_scale, column),
                std::min(panel_columns, sums.columns - j));
  }
}

PackedMatrix quantise_transposed(const at::Tensor& weight) {
  const at::Tensor w = weight.to(at::kFloat).contiguous();
  PackedMatrix b = nothing(w.size(1), w.size(0));
  b.out_scale = at::zeros({b.n}, w.options());
  const auto* from = w.const_data_ptr<float>();
  auto* scale = b.out_scale.mutable_data_ptr<float>();
  at::parallel_for(0, b.n, panel_columns, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      float largest = 0;
      for (int64_t i = 0; i < b.k; ++i) largest = std::max(largest, std::abs(from[n * b.k + i]));
      scale[n] = largest / most;
    }
  });
  fill(b, [&](int64_t i, int64_t n) {
    return static_cast<int8_t>(scale[n] > 0 ? std::nearbyint(from[n * b.k + i] / scale[n]) : 0);
  });
  return b;
}

PackedMatrix int8_transposed(const PackedMatrix& b) {
  PackedMatrix t = nothing(b.n, b.k);
  t.in_scale = b.out_scale;
  t.out_scale = b.in_scale;
  const auto* from = b.data.const_data_ptr<int8_t>();
  fill(t, [&](int64_t i, int64_t n) { return from[place(b.k, n, i)]; });
  return t;
}

at::Tensor int8_unpacked(const PackedMatrix& b) {
  at::Tensor w = at::empty({b.n, b.k}, at::TensorOptions(at::kBFloat16));
  auto* to = w.mutable_data_ptr<BFloat16>();
  const auto* from = b.data.const_data_ptr<int8_t>();
  at::parallel_for(0, b.n, panel_columns, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const float scale = b.out_scale.const_data_ptr<float>()[n];
      for (int64_t i = 0; i < b.k; ++i) to[n * b.k + i] = static_cast<float>(from[place(b.k, i, n)]) * scale;
    }
  });
  return w;
}

}  // namespace dept::kernels
