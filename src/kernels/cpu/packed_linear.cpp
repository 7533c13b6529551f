#include "kernels/cpu/packed_linear.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <cstring>

#include "kernels/cpu/avx512.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/unit_rows.h"

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
  Mask from(int64_t i) const { return {numbers != nullptr ? numbers + i : nullptr, threshold, scale}; }
};

void add_row(const float* c, const BFloat16* bias, const float* h, Mask mask, float* out, int64_t count) {
  const __m512 scale = _mm512_set1_ps(mask.scale);
  for (int64_t i = 0; i < count; i += lanes) {
    const __m512 branch = _mm512_maskz_mul_ps(reach(mask.numbers, mask.threshold, i), biased(c, bias, i), scale);
    _mm512_storeu_ps(out + i, _mm512_add_ps(_mm512_loadu_ps(h + i), branch));
  }
}

// An activation; of all but ReLU by its table.
template <Activation f>
class Unit {
 public:
  ValueSlope operator()(__m512 x) const {
    if constexpr (f == Activation::relu)
      return relu_and_slope(x);
    else
      return value_and_slope(*table_, x);
  }

 private:
  const GateTable* table_ = f == Activation::relu ? nullptr : &GateTable::of(f);
};

// Units and what is kept of them, null: nothing; of ReLU bits, else slopes.
void relu_row(const float* c, const BFloat16* bias, Mask mask, BFloat16* out, void* kept, int64_t count) {
  const __m512 scale = _mm512_set1_ps(mask.scale);
  auto* bits = static_cast<uint8_t*>(kept);
  for (int64_t i = 0; i < count; i += lanes) {
    const __m512 x = biased(c, bias, i);
    const __mmask16 stays = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GT_OQ) & reach(mask.numbers, mask.threshold, i);
    store_bf16(out + i, _mm512_maskz_mul_ps(stays, x, scale));
    if (bits != nullptr) std::memcpy(bits + i / 8, &stays, sizeof stays);
  }
}

void relu_backward_row(const float* c, const void* kept, float scale, BFloat16* out, int64_t count) {
  const __m512 factor = _mm512_set1_ps(scale);
  for (int64_t i = 0; i < count; i += lanes) {
    __mmask16 stays;
    std::memcpy(&stays, static_cast<const uint8_t*>(kept) + i / 8, sizeof stays);
    store_bf16(out + i, _mm512_maskz_mul_ps(stays, _mm512_loadu_ps(c + i), factor));
  }
}

template <Activation f>
void unit_row(const float* c, const BFloat16* bias, Mask mask, BFloat16* out, void* kept, int64_t count) {
  const __m512 scale = _mm512_set1_ps(mask.scale);
  auto* slopes = static_cast<uint8_t*>(kept);
  const Unit<f> of;
  for (int64_t i = 0; i < count; i += lanes) {
    const ValueSlope unit = of(biased(c, bias, i));
    const __mmask16 stays = reach(mask.numbers, mask.threshold, i);
    store_bf16(out + i, _mm512_maskz_mul_ps(stays, unit.value, scale));
    if (slopes != nullptr) store_slope(slopes + i, _mm512_maskz_mov_ps(stays, unit.slope));
  }
}

void unit_backward_row(const float* c, const void* kept, float scale, BFloat16* out, int64_t count) {
  const __m512 factor = _mm512_set1_ps(scale);
  const auto* slopes = static_cast<const uint8_t*>(kept);
  for (int64_t i = 0; i < count; i += lanes)
    store_bf16(out + i, _mm512_mul_ps(_mm512_mul_ps(load_slope(slopes + i), factor), _mm512_loadu_ps(c + i)));
}

// Where something of a panel of gates stands, and of the panel that they open.
template <class T>
struct Gated {
  T *gate, *other;
};

// A panel of gates and its like: c holds the one behind the other.
template <Activation f>
void gated_row(const float* c, Gated<const BFloat16> bias, Mask mask, BFloat16* out, Gated<BFloat16> factors) {
  const __m512 scale = _mm512_set1_ps(mask.scale);
  const Unit<f> of;
  for (int64_t i = 0; i < panel_columns; i += lanes) {
    const ValueSlope gate = of(biased(c, bias.gate, i));
    const __m512 other = biased(c + panel_columns, bias.other, i);
    const __mmask16 stays = reach(mask.numbers, mask.threshold, i);
    const __m512 opened = _mm512_maskz_mul_ps(stays, gate.value, scale);
    store_bf16(out + i, _mm512_mul_ps(opened, other));
    if (factors.gate == nullptr) continue;
    store_bf16(factors.other + i, opened);
    store_bf16(factors.gate + i, _mm512_mul_ps(_mm512_maskz_mul_ps(stays, gate.slope, scale), other));
  }
}

void gated_backward_row(const float* c, Gated<const BFloat16> factors, Gated<BFloat16> out, int64_t count) {
  for (int64_t i = 0; i < count; i += lanes) {
    const __m512 d = _mm512_loadu_ps(c + i);
    store_bf16(out.gate + i, _mm512_mul_ps(d, load_bf16(factors.gate + i)));
    store_bf16(out.other + i, _mm512_mul_ps(d, load_bf16(factors.other + i)));
  }
}

// 16 rows of from, `ld` apart, the first `columns` of each -> to: 16 numbers of each column in a row of `stride`.
void transpose_16(const float* from, int64_t ld, int64_t columns, float* to, int64_t stride) {
  const __m512i row = _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                                         _mm512_set1_epi32(static_cast<int>(ld)));
  for (int64_t c = 0; c < columns; ++c) _mm512_storeu_ps(to + c * stride, _mm512_i32gather_ps(row, from + c, 4));
}

DEPT_AVX512_END

// The row functions of an activation.
struct UnitRows {
  void (*plain)(const float*, const BFloat16*, Mask, BFloat16*, void*, int64_t);
  void (*gated)(const float*, Gated<const BFloat16>, Mask, BFloat16*, Gated<BFloat16>);
};
UnitRows rows_of(Activation f) {
  switch (f) {
    case Activation::relu:
      return {relu_row, gated_row<Activation::relu>};
    case Activation::gelu:
      return {unit_row<Activation::gelu>, gated_row<Activation::gelu>};
    case Activation::gelu_new:
      return {unit_row<Activation::gelu_new>, gated_row<Activation::gelu_new>};
    case Activation::silu:
      return {unit_row<Activation::silu>, gated_row<Activation::silu>};
  }
  fail(Code::bug, "packed_units", "relu, gelu, gelu_new or silu", dept::str(static_cast<int>(f)));
}

// A bias, or none.
struct Bias {
  const BFloat16* data;
  explicit Bias(const at::Tensor& bias) : data(bias.defined() ? bias.const_data_ptr<BFloat16>() : nullptr) {}
  const BFloat16* at(int64_t column) const { return data != nullptr ? data + column : nullptr; }
};

void check(const at::Tensor& x, const PackedMatrix& b, const at::Tensor& bias) {
  constexpr at::ScalarType dtype = at::kBFloat16;
  expect(x.dim() == 2 && x.size(1) == b.k && x.stride(1) == 1 && x.scalar_type() == dtype, "packed product",
         dept::str(dtype, " [N, ", b.k, "]"), x);
  if (bias.defined())
    expect(bias.numel() == b.n && bias.is_contiguous() && bias.scalar_type() == dtype, "packed product",
           dept::str(dtype, " bias [", b.n, "]"), bias);
}

// The rows of `out` that are done go to `then` (may be null).
void multiply(const at::Tensor& x, const PackedMatrix& b, TileSink sink, const at::Tensor& out = {}, RowsDone then = {}) {
  const auto done = [&](int64_t first, int64_t count) { then(out, first, count); };
  multiply(x.const_data_ptr<BFloat16>(), x.size(0), x.stride(0), b, sink, then ? RowsSink(done) : RowsSink());
}

// Calls row(r, mask) for the rows of a tile whose first unit is number `column` of `columns`, two rows' numbers drawn at once.
template <class Row>
void for_masked_rows(const Tile& tile, const Dropout& dropout, int64_t column, int64_t columns, Row&& row) {
  uint16_t numbers[2 * DropoutRows::piece];
  if (!dropout) {
    for (int64_t r = 0; r < tile.rows; ++r) row(r, Mask{nullptr, 0, 1.0F});
    return;
  }
  DropoutRows drawn(dropout, columns);
  const auto scale = static_cast<float>(dropout_scale(dropout.p));
  for (int64_t r = 0; r < tile.rows; ++r) {
    if (r % 2 == 0) drawn.two_pieces(tile.row + r, column, numbers);
    row(r, Mask{numbers + r % 2 * DropoutRows::piece, dropout_threshold(dropout.p), scale});
  }
}

static_assert(DropoutRows::piece == tile_columns);

}  // namespace

const PackedMatrix& PackedLinear::backward() {
  std::call_once(backward_once_, [&] { backward_ = transposed(forward_); });
  return backward_;
}

at::Tensor packed_product(const at::Tensor& x, const PackedMatrix& b, const at::Tensor& bias, RowsDone then) {
  at::Tensor out = at::empty({x.size(0), b.n}, x.options());
  packed_product_into(x, b, bias, out, then);
  return out;
}

void packed_product_into(const at::Tensor& x, const PackedMatrix& b, const at::Tensor& bias, at::Tensor out, RowsDone then) {
  check(x, b, bias);
  expect(out.sizes() == at::IntArrayRef({x.size(0), b.n}) && out.stride(1) == 1 && out.scalar_type() == x.scalar_type(),
         "packed_product_into", dept::str("out [", x.size(0), ", ", b.n, "] like x"), out);
  const int64_t stride = out.stride(0);
  const Bias add(bias);
  auto* to = out.mutable_data_ptr<BFloat16>();
  const auto sink = [&](const Tile& tile) {
    for (int64_t r = 0; r < tile.rows; ++r)
      store_row(tile.at(r), add.at(tile.column), to + (tile.row + r) * stride + tile.column, tile.columns);
  };
  multiply(x, b, sink, out, then);
}

at::Tensor packed_add(at::Tensor h, const at::Tensor& x, const PackedMatrix& b, const at::Tensor& bias, const Dropout& dropout,
                      RowsDone then) {
  check(x, b, bias);
  expect(h.is_contiguous() && h.scalar_type() == at::kFloat && h.sizes() == at::IntArrayRef({x.size(0), b.n}), "packed_add",
         dept::str("fp32 [", x.size(0), ", ", b.n, "]"), h);
  const bool ours = h.use_count() == 1 && h.storage().use_count() == 1;
  at::Tensor out = ours ? h : at::empty(h.sizes(), h.options());
  const auto* from = h.const_data_ptr<float>();
  auto* to = out.mutable_data_ptr<float>();
  const Bias add(bias);
  const auto sink = [&](const Tile& tile) {
    for_masked_rows(tile, dropout, tile.column, b.n, [&](int64_t r, const Mask& mask) {
      const int64_t at = (tile.row + r) * b.n + tile.column;
      add_row(tile.at(r), add.at(tile.column), from + at, mask, to + at, tile.columns);
    });
  };
  multiply(x, b, sink, out, then);
  return out;
}

namespace {

// What is kept of plain units: of so many how many bytes.
int64_t kept_bytes(Activation f, int64_t units) {
  return f == Activation::relu ? units / 8 : units;
}
void check_kept(const at::Tensor& kept, int64_t rows, int64_t bytes) {
  expect(kept.is_contiguous() && kept.size(0) == rows && static_cast<int64_t>(kept.nbytes()) == rows * bytes,
         "packed_units_backward", dept::str("kept of ", rows, " rows of ", bytes, " bytes"), kept);
}

at::Tensor plain_units(const at::Tensor& x, const PackedMatrix& b, const at::Tensor& bias, Activation f, const Dropout& dropout,
                       at::Tensor* kept) {
  const auto make_row = rows_of(f).plain;
  const Bias add(bias);
  at::Tensor out = at::empty({x.size(0), b.n}, x.options());
  if (kept != nullptr) *kept = at::empty({x.size(0), kept_bytes(f, b.n)}, at::TensorOptions(at::kByte));
  auto* to = out.mutable_data_ptr<BFloat16>();
  auto* keep = kept != nullptr ? static_cast<char*>(kept->mutable_data_ptr()) : nullptr;
  multiply(x, b, [&](const Tile& tile) {
    for_masked_rows(tile, dropout, tile.column, b.n, [&](int64_t r, const Mask& mask) {
      const int64_t at = (tile.row + r) * b.n + tile.column;
      make_row(tile.at(r), add.at(tile.column), mask, to + at, keep != nullptr ? keep + kept_bytes(f, at) : nullptr,
               tile.columns);
    });
  });
  return out;
}

at::Tensor gated_units(const at::Tensor& x, PackedMatrix b, const at::Tensor& bias, Activation f, const Dropout& dropout,
                       at::Tensor* kept) {
  const auto make_row = rows_of(f).gated;
  const int64_t units = b.n / 2;
  const Bias add(bias);
  b.paired = true;
  at::Tensor out = at::empty({x.size(0), units}, x.options());
  if (kept != nullptr) *kept = at::empty({x.size(0), b.n}, x.options());
  auto* to = out.mutable_data_ptr<BFloat16>();
  auto* keep = kept != nullptr ? kept->mutable_data_ptr<BFloat16>() : nullptr;
  const auto halves = [units](auto* row) { return Gated{row, row != nullptr ? row + units : nullptr}; };
  multiply(x, b, [&](const Tile& tile) {
    for_masked_rows(tile, dropout, tile.column / 2, units, [&](int64_t r, const Mask& mask) {
      for (int64_t j = 0; j < tile.columns; j += 2 * panel_columns) {
        const int64_t unit = (tile.column + j) / 2, row = tile.row + r;
        make_row(tile.at(r) + j, halves(add.at(unit)), mask.from(j / 2), to + row * units + unit,
                 halves(keep != nullptr ? keep + row * b.n + unit : nullptr));
      }
    });
  });
  return out;
}

at::Tensor plain_backward(const at::Tensor& x, const PackedMatrix& b, Activation f, double scale, const at::Tensor& kept) {
  check_kept(kept, x.size(0), kept_bytes(f, b.n));
  const auto make_row = f == Activation::relu ? relu_backward_row : unit_backward_row;
  at::Tensor out = at::empty({x.size(0), b.n}, x.options());
  auto* to = out.mutable_data_ptr<BFloat16>();
  const auto* from = static_cast<const char*>(kept.const_data_ptr());
  multiply(x, b, [&](const Tile& tile) {
    for (int64_t r = 0; r < tile.rows; ++r) {
      const int64_t at = (tile.row + r) * b.n + tile.column;
      make_row(tile.at(r), from + kept_bytes(f, at), static_cast<float>(scale), to + at, tile.columns);
    }
  });
  return out;
}

at::Tensor gated_backward(const at::Tensor& x, const PackedMatrix& b, const at::Tensor& kept) {
  check_kept(kept, x.size(0), 2 * b.n * int64_t{sizeof(BFloat16)});
  at::Tensor out = at::empty_like(kept);
  auto* to = out.mutable_data_ptr<BFloat16>();
  const auto* from = kept.const_data_ptr<BFloat16>();
  multiply(x, b, [&](const Tile& tile) {
    for (int64_t r = 0; r < tile.rows; ++r) {
      const int64_t at = (tile.row + r) * 2 * b.n + tile.column;
      gated_backward_row(tile.at(r), {from + at, from + at + b.n}, {to + at, to + at + b.n}, tile.columns);
    }
  });
  return out;
}

}  // namespace

at::Tensor packed_units(const at::Tensor& x, const PackedMatrix& b, const at::Tensor& bias, const Units& units,
                        const Dropout& dropout, at::Tensor* kept) {
  check(x, b, bias);
  expect(!units.gated || b.n % (2 * panel_columns) == 0, "packed_units", "gated units in pairs of panels", b.data);
  return units.gated ? gated_units(x, b, bias, units.activation, dropout, kept)
                     : plain_units(x, b, bias, units.activation, dropout, kept);
}

at::Tensor packed_units_backward(const at::Tensor& x, const PackedMatrix& b, const Units& units, const Dropout& dropout,
                                 const at::Tensor& kept) {
  check(x, b, {});
  return units.gated ? gated_backward(x, b, kept)
                     : plain_backward(x, b, units.activation, dropout ? dropout_scale(dropout.p) : 1.0, kept);
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
