#include "kernels/int8_matrix.h"

#include <ATen/Parallel.h>
#include <ATen/native/CPUBlas.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/avx512.h"
#include "kernels/simd.h"

namespace dept::kernels {
namespace {

using avx512::lanes;
using c10::BFloat16;

constexpr int64_t rows_at_once = 256;  // of A, in whole numbers: they stay in the second cache while the panels pass by
constexpr int64_t row_step = 16;       // of an AMX tile
constexpr float most = 127;

bool has_amx() {
  static const bool has = at::native::cpublas::could_pack(at::kChar);
  return has;
}

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx512vnni")

__m512 scaled(const BFloat16* row, const float* factor, int64_t i) {
  const __m512 x = avx512::load_bf16(row + i);
  return factor != nullptr ? _mm512_mul_ps(x, _mm512_loadu_ps(factor + i)) : x;
}

// A row times `factor` as whole numbers up to 127, or those plus 128 without sign, as AVX512-VNNI takes them. Returns what they
// are to be multiplied with.
float quantise_row(const BFloat16* row, const float* factor, int64_t count, bool unsign, int8_t* out) {
  __m512 largest = _mm512_setzero_ps();
  for (int64_t i = 0; i < count; i += lanes) largest = _mm512_max_ps(largest, _mm512_abs_ps(scaled(row, factor, i)));
  const float high = _mm512_reduce_max_ps(largest);
  const __m512 to_whole = _mm512_set1_ps(high > 0 ? most / high : 0);
  const __m128i sign = _mm_set1_epi8(unsign ? static_cast<char>(0x80) : 0);
  for (int64_t i = 0; i < count; i += lanes) {
    const __m512i whole = _mm512_cvtps_epi32(_mm512_mul_ps(scaled(row, factor, i), to_whole));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), _mm_xor_si128(_mm512_cvtsepi32_epi8(whole), sign));
  }
  return high / most;
}

// m <= 6 rows of c by 64 columns with AVX512-VNNI; what the 128 in a adds to the sums is taken away.
template <int m>
void few_rows_product(int64_t k, const int8_t* a, const int8_t* b, const int32_t* column_sum, int32_t* c) {
  __m512i sum[m][4];
  for (int v = 0; v < 4; ++v) {
    const __m512i more = _mm512_slli_epi32(_mm512_loadu_si512(column_sum + lanes * v), 7);
    for (int r = 0; r < m; ++r) sum[r][v] = _mm512_sub_epi32(_mm512_setzero_si512(), more);
  }
  for (int64_t i = 0; i < k; i += 4) {
    __m512i right[4];
    for (int v = 0; v < 4; ++v) right[v] = _mm512_loadu_si512(b + i * panel_columns + 4 * lanes * v);
    for (int r = 0; r < m; ++r) {
      int32_t four;
      std::memcpy(&four, a + r * k + i, sizeof four);
      const __m512i left = _mm512_set1_epi32(four);
      for (int v = 0; v < 4; ++v) sum[r][v] = _mm512_dpbusd_epi32(sum[r][v], left, right[v]);
    }
  }
  for (int r = 0; r < m; ++r)
    for (int v = 0; v < 4; ++v) _mm512_storeu_si512(c + r * tile_columns + lanes * v, sum[r][v]);
}

void vnni_product(int64_t m, int64_t k, const int8_t* a, const int8_t* b, const int32_t* column_sum, int32_t* c) {
  for (; m >= 6; m -= 6, a += 6 * k, c += 6 * tile_columns) few_rows_product<6>(k, a, b, column_sum, c);
  for (; m >= 2; m -= 2, a += 2 * k, c += 2 * tile_columns) few_rows_product<2>(k, a, b, column_sum, c);
  if (m > 0) few_rows_product<1>(k, a, b, column_sum, c);
}

// Sums become numbers in place: times the row's scale and the columns' (null: 1).
void scale_row(int32_t* c, float row, const float* columns, int64_t count) {
  const __m512 factor = _mm512_set1_ps(row);
  for (int64_t i = 0; i < count; i += lanes) {
    const __m512 scale = columns != nullptr ? _mm512_mul_ps(factor, _mm512_loadu_ps(columns + i)) : factor;
    const __m512 x = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_loadu_si512(c + i)), scale);
    std::memcpy(c + i, &x, sizeof x);
  }
}

#pragma GCC pop_options

const float* scale_at(const at::Tensor& scale, int64_t i) {
  return scale.defined() ? scale.const_data_ptr<float>() + i : nullptr;
}

// c [m, 64] of a tile = a [m, k] times panel p. AMX: up to 15 rows more of both are read and written.
void block_product(int64_t m, const int8_t* a, const PackedMatrix& b, int64_t p, int32_t* c) {
  const int8_t* panel = b.data.const_data_ptr<int8_t>() + p * b.k * panel_columns;
  if (has_amx())
    at::native::cpublas::brgemm((m + row_step - 1) / row_step * row_step, panel_columns, b.k, b.k, panel_columns, tile_columns,
                                false, reinterpret_cast<const signed char*>(a), reinterpret_cast<const signed char*>(panel), c,
                                true);
  else
    vnni_product(m, b.k, a, panel, b.column_sum.const_data_ptr<int32_t>() + p * panel_columns, c);
}

// B of this size, all 0.
PackedMatrix nothing(int64_t k, int64_t n) {
  PackedMatrix b;
  b.k = k;
  b.n = n;
  b.data = at::zeros({b.panels(), k / 4, panel_columns, 4}, at::TensorOptions(at::kChar));
  b.column_sum = at::zeros({b.panels() * panel_columns}, at::TensorOptions(at::kInt));
  return b;
}

// Where column n of a B with k rows has row i.
int64_t place(int64_t k, int64_t i, int64_t n) {
  return ((n / panel_columns * (k / 4) + i / 4) * panel_columns + n % panel_columns) * 4 + i % 4;
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

void int8_multiply_range(const BFloat16* a, int64_t stride, const PackedMatrix& b, int64_t begin, int64_t end, int64_t first,
                         int64_t last, std::initializer_list<Beside> beside, TileSink sink) {
  alignas(64) int32_t c[tile_rows * tile_columns];
  std::vector<int8_t> whole(rows_at_once * b.k);
  float scale[rows_at_once];
  for (int64_t top = begin; top < end; top += rows_at_once) {
    const int64_t bottom = std::min(end, top + rows_at_once);
    for (int64_t r = top; r < bottom; ++r)
      scale[r - top] = quantise_row(a + r * stride, scale_at(b.in_scale, 0), b.k, !has_amx(), whole.data() + (r - top) * b.k);
    for (int64_t pair = first; pair < last; ++pair) {
      const int64_t column = pair * tile_columns, columns = std::min(tile_columns, b.n - column);
      for (int64_t row = top; row < bottom; row += tile_rows) {
        const int64_t count = std::min(tile_rows, bottom - row);
        bring_near(beside, b.n, row, count, column, columns);
        for (int64_t side = 0; side * panel_columns < columns; ++side)
          block_product(count, whole.data() + (row - top) * b.k, b, 2 * pair + side, c + side * panel_columns);
        for (int64_t r = 0; r < count; ++r)
          scale_row(c + r * tile_columns, scale[row - top + r], scale_at(b.out_scale, column), columns);
        sink({row, count, column, columns, reinterpret_cast<const float*>(c)});
      }
    }
  }
  if (has_amx()) at::native::cpublas::brgemm_release(true);
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
