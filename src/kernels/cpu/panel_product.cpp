#include "kernels/cpu/panel_product.h"

#include <ATen/native/CPUBlas.h>
#include <immintrin.h>

#include <cstring>

#include "kernels/cpu/avx512.h"

namespace dept::kernels {
namespace {

constexpr int64_t line = 64;
constexpr int64_t tile = row_step;  // rows, and columns, of an AMX tile of sums

const char* at(const LeftBlock& left, int64_t row) {
  return static_cast<const char*>(left.data) + row * left.row;
}

// A stretch of memory brought into the second cache bit by bit.
struct Ahead {
  const char* next;
  int64_t lines;  // at a time

  Ahead(const void* from, int64_t times) : next(static_cast<const char*>(from)), lines(0) {
    if (next != nullptr) lines = round_up(panel_step_bytes / line, times) / times;
  }
  void fetch() {
    for (int64_t i = 0; i < lines; ++i) __builtin_prefetch(next + i * line, 0, 2);
    next += lines * line;
  }
};

// Lines of rows likewise.
struct LinesAhead {
  RowsAhead rest;
  int64_t each;  // rows at a time

  LinesAhead(const RowsAhead& rows, int64_t times) : rest(rows), each(rows.rows > 0 ? (rows.rows + times - 1) / times : 0) {}
  void fetch() {
    for (int64_t r = 0; r < each && rest.rows > 0; ++r, --rest.rows, rest.data += rest.stride)
      for (int64_t i = 0; i < rest.lines; ++i) __builtin_prefetch(rest.data + i * line, 0, 2);
  }
};

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx512vnni")

// What numbers four bytes of a row are, and what 16 columns of a row gain from them.
struct Pairs {
  using Vector = __m512;
  static __m512 add(__m512 sum, __m512i right, int32_t left) {
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(right), reinterpret_cast<__m512bh>(_mm512_set1_epi32(left)));
  }
};
struct Fours {
  using Vector = __m512i;
  static __m512i add(__m512i sum, __m512i right, int32_t left) {
    return _mm512_dpbusd_epi32(sum, _mm512_set1_epi32(left), right);
  }
};

constexpr int avx512_rows = 8;

// These rows of c from `row` on by 32 columns, or by 16.
template <class Numbers, int vectors, class Sum>
void avx512_sums(const PanelProduct<Sum>& task, int64_t row, Ahead& ahead) {
  using Vector = typename Numbers::Vector;
  constexpr int rows = avx512_rows;
  const auto* panel = static_cast<const char*>(task.panel);
  const LeftBlock a = task.left;
  Sum* c = task.c + row * task.ldc;
  Vector sum[rows][vectors];
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < vectors; ++v) {
      sum[r][v] = Vector{};
      if (task.add) std::memcpy(&sum[r][v], c + r * task.ldc + tile * v, sizeof(Vector));
    }
  for (int64_t s = 0; s < task.steps; ++s) {
    const char* left = at(a, row) + s * a.step;
    ahead.fetch();
    for (int64_t i = 0; i < step_bytes; i += 4, panel += panel_columns * 4) {
      __m512i right[vectors];
      for (int v = 0; v < vectors; ++v) right[v] = _mm512_loadu_si512(panel + v * line);
      for (int r = 0; r < rows; ++r) {
        int32_t four;
        std::memcpy(&four, left + r * a.row + i, sizeof four);
        for (int v = 0; v < vectors; ++v) sum[r][v] = Numbers::add(sum[r][v], right[v], four);
      }
    }
  }
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < vectors; ++v) std::memcpy(c + r * task.ldc + tile * v, &sum[r][v], sizeof(Vector));
}

template <class Numbers, class Sum>
void avx512_product(const PanelProduct<Sum>& task) {
  const auto product = task.columns > tile ? avx512_sums<Numbers, 2, Sum> : avx512_sums<Numbers, 1, Sum>;
  const int64_t times = task.rows / avx512_rows;
  Ahead ahead(task.ahead, times);
  LinesAhead lines(task.rows_ahead, times);
  for (int64_t row = 0; row < task.rows; row += avx512_rows) {
    lines.fetch();
    product(task, row, ahead);
  }
}

#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx512f,amx-tile,amx-bf16,amx-int8")

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

// Tiles of sums: 0 and 1 of the upper 16 rows, 2 and 3 of the lower; 4 and 5 those rows, 6 and 7 the columns.
#define DEPT_MULTIPLY(sums, rows, columns) \
  do {                                     \
    if constexpr (whole)                   \
      _tile_dpbssd(sums, rows, columns);   \
    else                                   \
      _tile_dpbf16ps(sums, rows, columns); \
  } while (false)

// 32 (lower) or 16 rows of c from `row` on by 32 (right) or 16 columns.
template <bool whole, bool lower, bool right, class Sum>
void amx_tiles(const PanelProduct<Sum>& task, int64_t row, Ahead& ahead) {
  constexpr int64_t pitch = panel_columns * 4;
  const int64_t apart = task.left.row, step = task.left.step, ldc_bytes = task.ldc * 4;
  const auto* panel = static_cast<const char*>(task.panel);
  const char *a = at(task.left, row), *below = a + tile * apart;
  Sum *c = task.c + row * task.ldc, *c_below = c + tile * task.ldc;
  if (task.add) {
    _tile_loadd(0, c, ldc_bytes);
    if constexpr (right) _tile_loadd(1, c + tile, ldc_bytes);
    if constexpr (lower) _tile_loadd(2, c_below, ldc_bytes);
    if constexpr (lower && right) _tile_loadd(3, c_below + tile, ldc_bytes);
  } else {
    _tile_zero(0);
    if constexpr (right) _tile_zero(1);
    if constexpr (lower) _tile_zero(2);
    if constexpr (lower && right) _tile_zero(3);
  }
  for (int64_t s = 0; s < task.steps; ++s, a += step, below += step, panel += panel_step_bytes) {
    _tile_loadd(4, a, apart);
    _tile_loadd(6, panel, pitch);
    if constexpr (right) _tile_loadd(7, panel + line, pitch);
    if constexpr (lower) _tile_loadd(5, below, apart);
    ahead.fetch();
    DEPT_MULTIPLY(0, 4, 6);
    if constexpr (right) DEPT_MULTIPLY(1, 4, 7);
    if constexpr (lower) DEPT_MULTIPLY(2, 5, 6);
    if constexpr (lower && right) DEPT_MULTIPLY(3, 5, 7);
  }
  _tile_stored(0, c, ldc_bytes);
  if constexpr (right) _tile_stored(1, c + tile, ldc_bytes);
  if constexpr (lower) _tile_stored(2, c_below, ldc_bytes);
  if constexpr (lower && right) _tile_stored(3, c_below + tile, ldc_bytes);
}

#undef DEPT_MULTIPLY
#pragma GCC pop_options

template <bool whole, class Sum>
void amx_product(const PanelProduct<Sum>& task) {
  const int64_t times = round_up(task.rows, 2 * tile) / (2 * tile);
  Ahead ahead(task.ahead, times);
  LinesAhead lines(task.rows_ahead, times);
  for (int64_t row = 0; row < task.rows; row += 2 * tile) {
    lines.fetch();
    const bool lower = task.rows - row > tile, wide = task.columns > tile;
    const auto product = lower  ? wide ? amx_tiles<whole, true, true, Sum> : amx_tiles<whole, true, false, Sum>
                          : wide ? amx_tiles<whole, false, true, Sum>
                                : amx_tiles<whole, false, false, Sum>;
    product(task, row, ahead);
  }
}

}  // namespace

bool has_packed_products() {
  static const bool has = __builtin_cpu_supports("avx512bf16") != 0 && __builtin_cpu_supports("avx512bw") != 0;
  return has;
}

bool has_amx() {
  static const bool has = at::native::cpublas::could_pack(at::kBFloat16) && at::native::cpublas::could_pack(at::kChar);
  return has;
}

int64_t rows_at_once() {
  return has_amx() ? tile : avx512_rows;
}

PanelProducts::PanelProducts() {
  if (has_amx()) begin_amx();
}

PanelProducts::~PanelProducts() {
  if (has_amx()) end_amx();
}

void panel_product_avx512(const PanelProduct<float>& task) {
  avx512_product<Pairs>(task);
}

void panel_product(const PanelProduct<float>& task) {
  if (has_amx())
    amx_product<false>(task);
  else
    panel_product_avx512(task);
}

void panel_product(const PanelProduct<int32_t>& task) {
  if (has_amx())
    amx_product<true>(task);
  else
    avx512_product<Fours>(task);
}

}  // namespace dept::kernels
