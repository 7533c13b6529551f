// Products of blocks that lie in a core's own caches, by what the CPU has for them: AMX, else AVX512-BF16 and AVX512-VNNI. The
// right-hand side comes in panels of 32 columns, a step of 64 bytes of each column after the other, as these instructions read
// them: bf16 numbers in pairs, whole numbers of 8 bits in fours.
#pragma once

#include <cstdint>

namespace dept::kernels {

inline constexpr int64_t panel_columns = 32;
inline constexpr int64_t step_bytes = 64;  ///< of a row of the left side: 32 bf16 or 64 whole numbers
inline constexpr int64_t panel_step_bytes = panel_columns * step_bytes;
inline constexpr int64_t row_step = 16;  ///< rows of a tile of AMX

/// To a whole number of steps.
inline int64_t round_up(int64_t x, int64_t step) {
  return (x + step - 1) / step * step;
}

/// The left-hand side: where its rows and their steps lie.
struct LeftBlock {
  const void* data;
  int64_t row, step;  ///< bytes from one to the next
};

/// A block of rows packed for them: a step of all rows after the other, a little more than those apart, lest steps meet in a
/// cache.
struct PackedRows {
  char* data;
  int64_t step;

  PackedRows(char* data, int64_t rows) : data(data), step(step_of(rows)) {}
  static int64_t step_of(int64_t rows) { return rows * step_bytes + 1024; }
  static int64_t bytes(int64_t rows, int64_t steps) { return step_of(rows) * steps; }
  char* at(int64_t row, int64_t s) const { return data + s * step + row * step_bytes; }
  LeftBlock block(int64_t s) const { return {at(0, s), step_bytes, step}; }
};

/// Whether this CPU has what they need.
bool has_packed_products();
/// Whether it has AMX for bf16 (and for whole numbers).
bool has_amx();
/// Rows that a product takes at once on this CPU: 16 (AMX) or 8.
int64_t rows_at_once();

/// While one stands, the calling thread may make products; it must not meet those of the library that LibTorch brings.
class PanelProducts {
 public:
  PanelProducts();
  ~PanelProducts();
  PanelProducts(const PanelProducts&) = delete;
  PanelProducts& operator=(const PanelProducts&) = delete;
};

/// Lines of rows that are to be read later: `lines` of 64 bytes of each.
struct RowsAhead {
  const char* data = nullptr;
  int64_t stride = 0, rows = 0, lines = 0;

  /// Part i of `parts`.
  RowsAhead part(int64_t i, int64_t parts) const {
    const int64_t first = rows * i / parts;
    return {data + first * stride, stride, rows * (i + 1) / parts - first, lines};
  }
};

/// c [rows, columns] (+)= left panel, for one panel; rows a multiple of rows_at_once(), columns 16 or 32. Sum: fp32 for numbers
/// in bf16, int32 for whole numbers.
template <class Sum>
struct PanelProduct {
  int64_t rows, columns, steps;
  LeftBlock left;
  const void* panel;
  Sum* c;
  int64_t ldc;  ///< from a row of c to the next
  bool add;
  const void* ahead = nullptr;  ///< not null: what is to be read next; as many bytes as the panel has are brought near meanwhile
  RowsAhead rows_ahead{};       ///< likewise
};

/// Sums of a block of rows, from `column` of the product on.
template <class Sum>
struct BlockSums {
  Sum* c;
  int64_t ldc, rows, column, columns;
};

void panel_product(const PanelProduct<float>& task);
/// Without AMX the numbers on the left stand without sign, 128 too large.
void panel_product(const PanelProduct<int32_t>& task);
/// The first as CPUs without AMX do it.
void panel_product_avx512(const PanelProduct<float>& task);

}  // namespace dept::kernels
