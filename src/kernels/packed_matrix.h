// Products of bf16 matrices with fp32 sums on CPUs that multiply bf16 (AMX, AVX512-BF16). The right-hand side is packed once:
// panels of 64 columns, in each of which two rows stand interleaved, as these instructions read them. A finished tile goes to its
// consumer while it is in the nearest cache, so what follows a product costs no pass over memory.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/BFloat16.h>
#include <c10/util/FunctionRef.h>

#include <cstdint>
#include <initializer_list>

namespace dept::kernels {

inline constexpr int64_t panel_columns = 64;
inline constexpr int64_t tile_rows = 64, tile_columns = 2 * panel_columns;

/// Whether this CPU has what packed products need.
bool has_packed_products();

/// B [k, n] of a product A B.
struct PackedMatrix {
  int64_t k = 0, n = 0;
  at::Tensor data;  ///< bf16 [ceil(n / 64), k / 2, 64, 2]: B[2i + j, 64p + c] at [p, i, c, j]; zeros beyond n

  // Of whole numbers of 8 bits (int8_matrix.h), B = diag(in_scale) Q diag(out_scale): data is Q, int8 [ceil(n / 64), k / 4, 64,
  // 4].
  at::Tensor in_scale{}, out_scale{};  ///< fp32 [k] and [n], or undefined: 1
  at::Tensor column_sum{};             ///< int32 [64 ceil(n / 64)] of Q

  bool defined() const { return data.defined(); }
  bool int8() const { return data.scalar_type() == at::kChar; }
  const c10::BFloat16* panel(int64_t p) const { return data.const_data_ptr<c10::BFloat16>() + p * k * panel_columns; }
  int64_t panels() const { return (n + panel_columns - 1) / panel_columns; }
};

/// Sizes that can be packed: n a multiple of 16, k one of 32.
bool can_pack(int64_t k, int64_t n);
/// w bf16 [n, k] -> B = w^T.
PackedMatrix pack_transposed(const at::Tensor& w);
/// The packed transpose of B.
PackedMatrix transposed(const PackedMatrix& b);
/// B^T as bf16 [n, k]: what pack_transposed took.
at::Tensor unpacked(const PackedMatrix& b);

/// c [rows, columns] with rows of `tile_columns` numbers: rows row .. and columns column .. of the product.
struct Tile {
  int64_t row, rows, column, columns;
  const float* c;
  const float* at(int64_t r) const { return c + r * tile_columns; }
};
using TileSink = c10::function_ref<void(const Tile&)>;

/// A row-major matrix [rows, n] that sink reads or writes where a tile stands: brought near while the tile is being made.
struct Beside {
  const void* data;
  int64_t element_bytes;
};

/// Makes A B tile by tile, a bf16 [rows, k] with rows `stride` apart, and calls sink for each, on several threads.
void multiply(const c10::BFloat16* a, int64_t rows, int64_t stride, const PackedMatrix& b, std::initializer_list<Beside> beside,
              TileSink sink);

/// What matrices of `width` columns have at these rows and columns.
void bring_near(std::initializer_list<Beside> matrices, int64_t width, int64_t row, int64_t rows, int64_t column,
                int64_t columns);

/// While one stands, the calling thread may call panel_product; it must not meet products of the library that LibTorch brings.
class PanelProducts {
 public:
  PanelProducts();
  ~PanelProducts();
  PanelProducts(const PanelProducts&) = delete;
  PanelProducts& operator=(const PanelProducts&) = delete;
};

/// c [m, n] (+)= a [m, k] b for one panel, m and n multiples of 16, n up to 64, k a multiple of 32, b as a panel of PackedMatrix.
/// For products too small to bear a call into a library.
void panel_product(int64_t m, int64_t n, int64_t k, const c10::BFloat16* a, int64_t lda, const c10::BFloat16* b, float* c,
                   int64_t ldc, bool add);
/// The same as CPUs without AMX do it; m may be any number there.
void panel_product_avx512(int64_t m, int64_t n, int64_t k, const c10::BFloat16* a, int64_t lda, const c10::BFloat16* b, float* c,
                          int64_t ldc, bool add);

}  // namespace dept::kernels
