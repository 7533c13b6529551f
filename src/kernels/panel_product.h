// Products of blocks that lie in a core's own caches, by what the CPU has for them: AMX, else AVX512-BF16 and AVX512-VNNI.
// The right-hand side comes in panels of 32 columns, a step of 64 bytes of each column after the other, as these instructions
// read them: bf16 numbers stand in pairs, whole numbers of 8 bits in fours.
#pragma once

#include <cstdint>

namespace dept::kernels {

inline constexpr int64_t panel_columns = 32;
inline constexpr int64_t step_bytes = 64;  ///< of a row of the left side: 32 bf16 numbers or 64 whole numbers
inline constexpr int64_t panel_step_bytes = panel_columns * step_bytes;
inline constexpr int64_t row_step = 16;  ///< rows that a product takes at once

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

/// While one stands, the calling thread may make products; it must not meet those of the library that LibTorch brings.
class PanelProducts {
 public:
  PanelProducts();
  ~PanelProducts();
  PanelProducts(const PanelProducts&) = delete;
  PanelProducts& operator=(const PanelProducts&) = delete;
};

/// c [m, n] (+)= a b for one panel: a bf16, c fp32 with rows `ldc` apart, m a multiple of 16, n 16 or 32. Of what stands at
/// `ahead`, which is to be read next, as many bytes as the panel has are brought near meanwhile (null: nothing).
void panel_product(int64_t m, int64_t n, int64_t steps, LeftBlock a, const void* panel, float* c, int64_t ldc, bool add,
                   const void* ahead = nullptr);
/// The same of whole numbers, c int32. Without AMX the numbers of a stand without sign, 128 too large.
void panel_product_int8(int64_t m, int64_t n, int64_t steps, LeftBlock a, const void* panel, int32_t* c, int64_t ldc, bool add,
                        const void* ahead = nullptr);
/// The first as CPUs without AMX do it.
void panel_product_avx512(int64_t m, int64_t n, int64_t steps, LeftBlock a, const void* panel, float* c, int64_t ldc, bool add,
                          const void* ahead = nullptr);

}  // namespace dept::kernels
