#include "kernels/cpu/packed_linear.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstring>

#include "kernels/cpu/avx512.h"
#include "kernels/cpu/simd.h"

namespace dept::kernels {
namespace {

using avx512::lanes;
using avx512::load_bf16;
using avx512::store_bf16;
using c10::BFloat16;

DEPT_AVX512_BEGIN

__m512 biased(const float* c, const BFloat16* bias, int64_t i) {
  const __m512 x = _mm512_loadu_ps(c + i);
  return bias != nullptr ? _mm512_add_ps(x, load_bf16(bias + i)) : x;
}
// Which of 16 numbers reach the threshold; all without numbers.
__mmask16 reach(const uint16_t* numbers, uint32_t threshold, int64_t i) {
  if (numbers == nullptr) return 0xFFFF;
  const __m256i drawn = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(numbers + i));
  return _mm256_cmpge_epu16_mask(drawn, _mm256_set1_epi16(static_cast<int16_t>(threshold)));
}

// Rows of a tile, `count` columns each.
void store_row(const float* c, const BFloat16* bias, BFloat16* out, int64_t count) {
  for (int64_t i = 0; i < count; i += lanes) store_bf16(out + i, biased(c, bias, i));
}

struct Mask {
  const uint16_t* numbers;
  uint32_t threshold;
  float scale;
};

void add_row(const float* c, const BFloat16* bias, const float* h, Mask mask, float* out, int64_t count) {
  const __m512 scale = _mm512_set1_ps(mask.scale);
  for (int64_t i = 0; i < count; i += lanes) {
    const __m512 branch = _mm512_maskz_mul_ps(reach(mask.numbers, mask.threshold, i), biased(c, bias, i), scale);
    _mm512_storeu_ps(out + i, _mm512_add_ps(_mm512_loadu_ps(h + i), branch));
  }
}

void relu_row(const float* c, const BFloat16* bias, Mask mask, BFloat16* out, uint8_t* bits, int64_t count) {
  const __m512 scale = _mm512_set1_ps(mask.scale);
  for (int64_t i = 0; i < count; i += lanes) {
    const __m512 x = biased(c, bias, i);
    const __mmask16 kept = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GT_OQ) & reach(mask.numbers, mask.threshold, i);
    store_bf16(out + i, _mm512_maskz_mul_ps(kept, x, scale));
    if (bits != nullptr) std::memcpy(bits + i / 8, &kept, sizeof kept);
  }
}

void relu_backward_row(const float* c, const uint8_t* bits, float scale, BFloat16* out, int64_t count) {
  const __m512 factor = _mm512_set1_ps(scale);
  for (int64_t i = 0; i < count; i += lanes) {
    __mmask16 kept;
    std::memcpy(&kept, bits + i / 8, sizeof kept);
    store_bf16(out + i, _mm512_maskz_mul_ps(kept, _mm512_loadu_ps(c + i), factor));
  }
}

// 16 rows of from, `ld` apart, the first `columns` of each -> to: 16 numbers of each column in a row of `stride`.
void transpose_16(const float* from, int64_t ld, int64_t columns, float* to, int64_t stride) {
  const __m512i row = _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                                         _mm512_set1_epi32(static_cast<int>(ld)));
  for (int64_t c = 0; c < columns; ++c) _mm512_storeu_ps(to + c * stride, _mm512_i32gather_ps(row, from + c, 4));
}

DEPT_AVX512_END

const BFloat16* bias_at(const at::Tensor& bias, int64_t column) {
  return bias.defined() ? bias.const_data_ptr<BFloat16>() + column : nullptr;
}

void check(const at::Tensor& x, const PackedMatrix& b, const at::Tensor& bias) {
  expect(x.dim() == 2 && x.size(1) == b.k && x.stride(1) == 1 && x.scalar_type() == at::kBFloat16, "packed product",
         dept::str("bf16 [N, ", b.k, "]"), x);
  if (bias.defined())
    expect(bias.numel() == b.n && bias.is_contiguous() && bias.scalar_type() == at::kBFloat16, "packed product",
           dept::str("bf16 bias [", b.n, "]"), bias);
}

void multiply(const at::Tensor& x, const PackedMatrix& b, TileSink sink) {
  multiply(x.const_data_ptr<BFloat16>(), x.size(0), x.stride(0), b, sink);
}

// Calls row(r, mask) for the rows of a tile, two rows' numbers drawn at once.
template <class Row>
void for_masked_rows(const Tile& tile, const Dropout& dropout, int64_t columns, Row&& row) {
  uint16_t numbers[2 * DropoutRows::piece];
  if (!dropout) {
    for (int64_t r = 0; r < tile.rows; ++r) row(r, Mask{nullptr, 0, 1.0F});
    return;
  }
  DropoutRows drawn(dropout, columns);
  const auto scale = static_cast<float>(dropout_scale(dropout.p));
  for (int64_t r = 0; r < tile.rows; ++r) {
    if (r % 2 == 0) drawn.two_pieces(tile.row + r, tile.column, numbers);
    row(r, Mask{numbers + r % 2 * DropoutRows::piece, dropout_threshold(dropout.p), scale});
  }
}

static_assert(DropoutRows::piece == tile_columns);

}  // namespace

const PackedMatrix& PackedLinear::backward() {
  std::call_once(backward_once_, [&] { backward_ = transposed(forward_); });
  return backward_;
}

at::Tensor packed_product(const at::Tensor& x, const PackedMatrix& b, const at::Tensor& bias) {
  at::Tensor out = at::empty({x.size(0), b.n}, x.options());
  packed_product_into(x, b, bias, out);
  return out;
}

void packed_product_into(const at::Tensor& x, const PackedMatrix& b, const at::Tensor& bias, at::Tensor out) {
  check(x, b, bias);
  expect(out.sizes() == at::IntArrayRef({x.size(0), b.n}) && out.stride(1) == 1 && out.scalar_type() == at::kBFloat16,
         "packed_product_into", dept::str("bf16 out [", x.size(0), ", ", b.n, "]"), out);
  auto* to = out.mutable_data_ptr<BFloat16>();
  const int64_t stride = out.stride(0);
  multiply(x, b, [&](const Tile& tile) {
    for (int64_t r = 0; r < tile.rows; ++r)
      store_row(tile.at(r), bias_at(bias, tile.column), to + (tile.row + r) * stride + tile.column, tile.columns);
  });
}

at::Tensor packed_add(at::Tensor h, const at::Tensor& x, const PackedMatrix& b, const at::Tensor& bias, const Dropout& dropout) {
  check(x, b, bias);
  expect(h.is_contiguous() && h.scalar_type() == at::kFloat && h.sizes() == at::IntArrayRef({x.size(0), b.n}), "packed_add",
         dept::str("fp32 [", x.size(0), ", ", b.n, "]"), h);
  const bool ours = h.use_count() == 1 && h.storage().use_count() == 1;
  at::Tensor out = ours ? h : at::empty(h.sizes(), h.options());
  const auto* from = h.const_data_ptr<float>();
  auto* to = out.mutable_data_ptr<float>();
  multiply(x, b, [&](const Tile& tile) {
    for_masked_rows(tile, dropout, b.n, [&](int64_t r, const Mask& mask) {
      const int64_t at = (tile.row + r) * b.n + tile.column;
      add_row(tile.at(r), bias_at(bias, tile.column), from + at, mask, to + at, tile.columns);
    });
  });
  return out;
}

at::Tensor packed_relu(const at::Tensor& x, const PackedMatrix& b, const at::Tensor& bias, const Dropout& dropout,
                       at::Tensor* kept) {
  check(x, b, bias);
  at::Tensor out = at::empty({x.size(0), b.n}, x.options());
  if (kept != nullptr) *kept = at::empty({x.size(0), b.n / 8}, x.options().dtype(at::kByte));
  auto* to = out.mutable_data_ptr<BFloat16>();
  uint8_t* bits = kept != nullptr ? kept->mutable_data_ptr<uint8_t>() : nullptr;
  multiply(x, b, [&](const Tile& tile) {
    for_masked_rows(tile, dropout, b.n, [&](int64_t r, const Mask& mask) {
      const int64_t at = (tile.row + r) * b.n + tile.column;
      relu_row(tile.at(r), bias_at(bias, tile.column), mask, to + at, bits != nullptr ? bits + at / 8 : nullptr, tile.columns);
    });
  });
  return out;
}

at::Tensor packed_relu_backward(const at::Tensor& x, const PackedMatrix& b, double scale, const at::Tensor& kept) {
  check(x, b, {});
  expect(kept.is_contiguous() && kept.sizes() == at::IntArrayRef({x.size(0), b.n / 8}), "packed_relu_backward",
         dept::str("kept [", x.size(0), ", ", b.n / 8, "]"), kept);
  at::Tensor out = at::empty({x.size(0), b.n}, x.options());
  auto* to = out.mutable_data_ptr<BFloat16>();
  const auto* bits = kept.const_data_ptr<uint8_t>();
  multiply(x, b, [&](const Tile& tile) {
    for (int64_t r = 0; r < tile.rows; ++r) {
      const int64_t at = (tile.row + r) * b.n + tile.column;
      relu_backward_row(tile.at(r), bits + at / 8, static_cast<float>(scale), to + at, tile.columns);
    }
  });
  return out;
}

// The table, the larger side, is read in its rows as it lies; x is what is packed.
at::Tensor table_product(const at::Tensor& table, const at::Tensor& x) {
  const int64_t vocab = table.size(0), n = x.size(0), k = x.size(1);
  const int64_t padded = (n + lanes - 1) / lanes * lanes;
  at::Tensor rows = x;
  if (padded != n) {
    rows = at::empty({padded, k}, x.options());
    rows.narrow(0, 0, n).copy_(x);
    rows.narrow(0, n, padded - n).zero_();
  }
  at::Tensor out = at::empty({n, vocab}, x.options().dtype(at::kFloat));
  auto* to = out.mutable_data_ptr<float>();
  multiply(table, pack_transposed(rows), [&](const Tile& tile) {
    const int64_t columns = std::min(tile.columns, n - tile.column);
    int64_t r = 0;
    for (; r + lanes <= tile.rows; r += lanes)
      transpose_16(tile.at(r), tile.stride, columns, to + tile.column * vocab + tile.row + r, vocab);
    for (; r < tile.rows; ++r)
      for (int64_t c = 0; c < columns; ++c) to[(tile.column + c) * vocab + tile.row + r] = tile.at(r)[c];
  });
  return out;
}

}  // namespace dept::kernels
