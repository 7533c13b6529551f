#include "kernels/packed_matrix.h"

#include <ATen/Parallel.h>
#include <ATen/native/CPUBlas.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/avx512.h"
#include "kernels/int8_matrix.h"
#include "kernels/simd.h"

namespace dept::kernels {
namespace {

using c10::BFloat16;

constexpr int64_t rows_at_once = 256;  // of A: they stay in the second cache while the panels pass by
constexpr int64_t row_step = 16;       // of an AMX tile

bool has_amx() {
  static const bool has = at::native::cpublas::could_pack(at::kBFloat16);
  return has;
}

DEPT_AVX512_BEGIN

// m <= 6 rows of c by 64 columns (fewer: by 16) with AVX512-BF16.
template <int m>
void few_rows_product(int64_t n, int64_t k, const BFloat16* a, int64_t lda, const BFloat16* b, float* c, int64_t ldc, bool add) {
  __m512 sum[m][4];
  const int64_t vectors = n / 16;
  for (int r = 0; r < m; ++r)
    for (int v = 0; v < 4; ++v) sum[r][v] = add && v < vectors ? _mm512_loadu_ps(c + r * ldc + 16 * v) : _mm512_setzero_ps();
  for (int64_t i = 0; i < k / 2; ++i) {
    __m512bh right[4];
    for (int v = 0; v < 4; ++v) right[v] = reinterpret_cast<__m512bh>(_mm512_loadu_si512(b + (i * panel_columns + 16 * v) * 2));
    for (int r = 0; r < m; ++r) {
      int32_t pair;
      std::memcpy(&pair, a + r * lda + 2 * i, sizeof pair);
      const auto left = reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
      for (int v = 0; v < 4; ++v) sum[r][v] = _mm512_dpbf16_ps(sum[r][v], left, right[v]);
    }
  }
  for (int r = 0; r < m; ++r)
    for (int64_t v = 0; v < vectors; ++v) _mm512_storeu_ps(c + r * ldc + 16 * v, sum[r][v]);
}

// The panel of `columns` rows of w [columns, k].
void pack_panel(const BFloat16* w, int64_t k, int64_t columns, BFloat16* panel) {
  __m512i rows[16], turned[16];
  for (int64_t column = 0; column < columns; column += 16)
    for (int64_t i = 0; i < k; i += 32) {
      for (int r = 0; r < 16; ++r) rows[r] = _mm512_loadu_si512(w + (column + r) * k + i);
      avx512::transpose(rows, turned);
      for (int r = 0; r < 16; ++r) _mm512_storeu_si512(panel + ((i / 2 + r) * panel_columns + column) * 2, turned[r]);
    }
}

// 32 columns of the transposed panel: rows first .. first + 31 of b.
void turn_panel(const PackedMatrix& b, int64_t first, BFloat16* to) {
  __m512i pairs[16], rows[16];
  for (int64_t column = 0; column < b.n; column += 16) {
    const BFloat16* from = b.panel(column / panel_columns) + (first / 2 * panel_columns + column % panel_columns) * 2;
    for (int r = 0; r < 16; ++r) pairs[r] = _mm512_loadu_si512(from + r * panel_columns * 2);
    avx512::transpose(pairs, rows);  // row r: 32 numbers of b's column `column` + r
    for (int r = 0; r < 16; r += 2) {
      const avx512::Pairs both = avx512::interleave(rows[r], rows[r + 1]);
      BFloat16* out = to + (column + r) / 2 * panel_columns * 2;
      _mm512_storeu_si512(out, both.low);
      _mm512_storeu_si512(out + 32, both.high);
    }
  }
}

DEPT_AVX512_END

#pragma GCC push_options
#pragma GCC target("avx512f,amx-tile,amx-bf16")

// Every tile register holds 16 rows of 64 bytes. In static memory, since g++ 12 does not see that all of it is read.
void begin_amx() {
  struct alignas(64) Config {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  };
  static const Config config;
  _tile_loadconfig(&config);
}
void end_amx() {
  _tile_release();
}

// 16 rows of c by 16 columns, or 32 by 32.
void amx_16_by_16(int64_t k, const BFloat16* a, int64_t lda, const BFloat16* b, float* c, int64_t ldc, bool add) {
  constexpr int pair_bytes = panel_columns * 2 * sizeof(BFloat16);
  if (add)
    _tile_loadd(0, c, ldc * 4);
  else
    _tile_zero(0);
  for (int64_t i = 0; i < k; i += 32) {
    _tile_loadd(4, a + i, lda * 2);
    _tile_loadd(6, b + i * panel_columns, pair_bytes);
    _tile_dpbf16ps(0, 4, 6);
  }
  _tile_stored(0, c, ldc * 4);
}
void amx_32_by_32(int64_t k, const BFloat16* a, int64_t lda, const BFloat16* b, float* c, int64_t ldc, bool add) {
  constexpr int pair_bytes = panel_columns * 2 * sizeof(BFloat16);
  float* below = c + 16 * ldc;
  if (add) {
    _tile_loadd(0, c, ldc * 4);
    _tile_loadd(1, c + 16, ldc * 4);
    _tile_loadd(2, below, ldc * 4);
    _tile_loadd(3, below + 16, ldc * 4);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  for (int64_t i = 0; i < k; i += 32) {
    _tile_loadd(4, a + i, lda * 2);
    _tile_loadd(6, b + i * panel_columns, pair_bytes);
    _tile_loadd(7, b + i * panel_columns + 32, pair_bytes);
    _tile_loadd(5, a + 16 * lda + i, lda * 2);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, c, ldc * 4);
  _tile_stored(1, c + 16, ldc * 4);
  _tile_stored(2, below, ldc * 4);
  _tile_stored(3, below + 16, ldc * 4);
}

#pragma GCC pop_options

void amx_product(int64_t m, int64_t n, int64_t k, const BFloat16* a, int64_t lda, const BFloat16* b, float* c, int64_t ldc,
                 bool add) {
  for (int64_t column = 0; column < n;) {
    const int64_t columns = n - column >= 32 ? 32 : 16;
    for (int64_t row = 0; row < m;) {
      const int64_t rows = columns == 32 && m - row >= 32 ? 32 : 16;
      const BFloat16* left = a + row * lda;
      float* to = c + row * ldc + column;
      if (rows == 32)
        amx_32_by_32(k, left, lda, b + 2 * column, to, ldc, add);
      else
        for (int64_t part = 0; part < columns; part += 16)
          amx_16_by_16(k, left, lda, b + 2 * (column + part), to + part, ldc, add);
      row += rows;
    }
    column += columns;
  }
}

// c [m, 64] of a tile = a [m, k] times a panel.
void block_product(int64_t m, int64_t k, const BFloat16* a, int64_t lda, const BFloat16* panel, float* c) {
  if (has_amx())
    at::native::cpublas::brgemm(m, panel_columns, k, lda, panel_columns, tile_columns, false, a, panel, c, true);
  else
    panel_product_avx512(m, panel_columns, k, a, lda, panel, c, tile_columns, false);
}

// Memory of its own, in large pages where there are some: weights outlive what is allocated around them and would tear holes.
at::Tensor zeros_of_its_own(at::IntArrayRef sizes) {
  const auto bytes = static_cast<size_t>(c10::multiply_integers(sizes)) * sizeof(BFloat16);
  if (bytes < (size_t{1} << 20)) return at::zeros(sizes, at::TensorOptions(at::kBFloat16));
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) fail(Code::resource, "packed weights", dept::str(bytes, " bytes of memory"), "none");
  ::madvise(memory, bytes, MADV_HUGEPAGE);
  return at::from_blob(
      memory, sizes, [bytes](void* held) { ::munmap(held, bytes); }, at::TensorOptions(at::kBFloat16));
}

// Rows that end within a block of 16 are copied out and padded, so that few shapes of product occur.
class Rows {
 public:
  Rows(const BFloat16* a, int64_t stride, int64_t k) : a_(a), stride_(stride), k_(k) {}
  struct Block {
    const BFloat16* data;
    int64_t stride, rows;
  };
  Block block(int64_t row, int64_t rows) {
    if (rows % row_step == 0 || !has_amx()) return {a_ + row * stride_, stride_, rows};
    const int64_t padded = (rows + row_step - 1) / row_step * row_step;
    if (row_ != row || held_ != rows) {
      scratch_.assign(padded * k_, BFloat16(0));
      for (int64_t r = 0; r < rows; ++r) std::copy_n(a_ + (row + r) * stride_, k_, scratch_.data() + r * k_);
      row_ = row;
      held_ = rows;
    }
    return {scratch_.data(), k_, padded};
  }

 private:
  const BFloat16* a_;
  int64_t stride_, k_, row_ = -1, held_ = 0;
  std::vector<BFloat16> scratch_;
};

// The tiles of rows [begin, end) and of pairs of panels [first, last).
void multiply_range(const BFloat16* a, int64_t stride, const PackedMatrix& b, int64_t begin, int64_t end, int64_t first,
                    int64_t last, std::initializer_list<Beside> beside, TileSink sink) {
  alignas(64) float c[tile_rows * tile_columns];
  Rows rows(a, stride, b.k);
  for (int64_t top = begin; top < end; top += rows_at_once) {
    const int64_t bottom = std::min(end, top + rows_at_once);
    for (int64_t pair = first; pair < last; ++pair) {
      const int64_t column = pair * tile_columns, columns = std::min(tile_columns, b.n - column);
      for (int64_t row = top; row < bottom; row += tile_rows) {
        const int64_t count = std::min(tile_rows, bottom - row);
        const Rows::Block block = rows.block(row, count);
        bring_near(beside, b.n, row, count, column, columns);
        for (int64_t side = 0; side * panel_columns < columns; ++side)
          block_product(block.rows, b.k, block.data, block.stride, b.panel(2 * pair + side), c + side * panel_columns);
        sink({row, count, column, columns, c});
      }
    }
  }
  if (has_amx()) at::native::cpublas::brgemm_release(true);
}

}  // namespace

bool has_packed_products() {
  static const bool has = __builtin_cpu_supports("avx512bf16") != 0 && __builtin_cpu_supports("avx512bw") != 0;
  return has;
}

bool can_pack(int64_t k, int64_t n) {
  return k > 0 && n > 0 && k % 32 == 0 && n % 16 == 0;
}

void bring_near(std::initializer_list<Beside> matrices, int64_t width, int64_t row, int64_t rows, int64_t column,
                int64_t columns) {
  constexpr int64_t line = 64;
  for (const Beside& matrix : matrices) {
    const auto* first = static_cast<const char*>(matrix.data) + (row * width + column) * matrix.element_bytes;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t byte = 0; byte < columns * matrix.element_bytes; byte += line)
        __builtin_prefetch(first + r * width * matrix.element_bytes + byte, 1, 2);
  }
}

PanelProducts::PanelProducts() {
  if (has_amx()) begin_amx();
}

PanelProducts::~PanelProducts() {
  if (has_amx()) end_amx();
}

void panel_product_avx512(int64_t m, int64_t n, int64_t k, const BFloat16* a, int64_t lda, const BFloat16* b, float* c,
                          int64_t ldc, bool add) {
  for (; m >= 6; m -= 6, a += 6 * lda, c += 6 * ldc) few_rows_product<6>(n, k, a, lda, b, c, ldc, add);
  for (; m >= 2; m -= 2, a += 2 * lda, c += 2 * ldc) few_rows_product<2>(n, k, a, lda, b, c, ldc, add);
  if (m > 0) few_rows_product<1>(n, k, a, lda, b, c, ldc, add);
}

void panel_product(int64_t m, int64_t n, int64_t k, const BFloat16* a, int64_t lda, const BFloat16* b, float* c, int64_t ldc,
                   bool add) {
  if (has_amx())
    amx_product(m, n, k, a, lda, b, c, ldc, add);
  else
    panel_product_avx512(m, n, k, a, lda, b, c, ldc, add);
}

PackedMatrix pack_transposed(const at::Tensor& w) {
  expect(w.dim() == 2 && w.is_contiguous() && w.scalar_type() == at::kBFloat16 && can_pack(w.size(1), w.size(0)),
         "pack_transposed", "bf16 [n, k], n a multiple of 16, k one of 32", w);
  PackedMatrix packed{w.size(1), w.size(0), {}};
  packed.data = zeros_of_its_own({packed.panels(), packed.k / 2, panel_columns, 2});
  const auto* from = w.const_data_ptr<BFloat16>();
  auto* to = packed.data.mutable_data_ptr<BFloat16>();
  at::parallel_for(0, packed.panels(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p)
      pack_panel(from + p * panel_columns * packed.k, packed.k, std::min(panel_columns, packed.n - p * panel_columns),
                 to + p * packed.k * panel_columns);
  });
  return packed;
}

PackedMatrix transposed(const PackedMatrix& b) {
  if (b.int8()) return int8_transposed(b);
  expect(can_pack(b.n, b.k), "transposed", "sizes that are multiples of 32", b.data);
  PackedMatrix packed{b.n, b.k, {}};
  packed.data = zeros_of_its_own({packed.panels(), packed.k / 2, panel_columns, 2});
  auto* to = packed.data.mutable_data_ptr<BFloat16>();
  at::parallel_for(0, packed.panels(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p)
      for (int64_t column = 0; column < std::min(panel_columns, packed.n - p * panel_columns); column += 32)
        turn_panel(b, p * panel_columns + column, to + (p * packed.k * panel_columns + 2 * column));
  });
  return packed;
}

at::Tensor unpacked(const PackedMatrix& b) {
  if (b.int8()) return int8_unpacked(b);
  at::Tensor w = at::empty({b.n, b.k}, b.data.options());
  auto* to = reinterpret_cast<uint32_t*>(w.mutable_data_ptr());
  const int64_t pairs = b.k / 2;
  at::parallel_for(0, b.n, panel_columns, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const auto* from = reinterpret_cast<const uint32_t*>(b.panel(n / panel_columns)) + n % panel_columns;
      for (int64_t i = 0; i < pairs; ++i) to[n * pairs + i] = from[i * panel_columns];
    }
  });
  return w;
}

void multiply(const BFloat16* a, int64_t rows, int64_t stride, const PackedMatrix& b, std::initializer_list<Beside> beside,
              TileSink sink) {
  const int64_t threads = at::get_num_threads(), pairs = (b.panels() + 1) / 2;
  const auto share = [&](int64_t of, int64_t step, int64_t i) {
    return std::min(of, (of * i / threads + step - 1) / step * step);
  };
  const auto range = b.int8() ? int8_multiply_range : multiply_range;
  at::parallel_for(0, threads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      if (rows >= threads * tile_rows)
        range(a, stride, b, share(rows, row_step, i), share(rows, row_step, i + 1), 0, pairs, beside, sink);
      else
        range(a, stride, b, 0, rows, share(pairs, 1, i), share(pairs, 1, i + 1), beside, sink);
    }
  });
}

}  // namespace dept::kernels
