// nvcuda::wmma for tiles of 16 x 16 x 16. A fragment is opaque, as CUDA says it is: lane 0 of the warp holds the whole tile.
// Every function is a meeting of the warp, so that one in a branch which some lanes do not take is caught.
#pragma once

#include <type_traits>

#include "cuda_on_cpu.h"

namespace nvcuda::wmma {

struct matrix_a {};
struct matrix_b {};
struct accumulator {};
struct row_major {};
struct col_major {};
enum layout_t { mem_row_major, mem_col_major };

constexpr int side = 16, elements = side * side;

template <class Use, int M, int N, int K, class T, class Layout = void>
class fragment {
  static_assert(M == side && N == side && K == side);

 public:
  float tile[elements];  // row by row of the matrix that it stands for
};

/// Of lane 0; all lanes are here.
inline bool leads() {
  cuda_on_cpu::meet(~0U, 0);
  return cuda_on_cpu::lane() == 0;
}

template <class T>
void check_place(const T* place, unsigned stride) {
  if (reinterpret_cast<uintptr_t>(place) % 32 != 0) cuda_on_cpu::die("a tile at an address that is no multiple of 32 bytes");
  if (stride * sizeof(T) % 16 != 0) cuda_on_cpu::die("a tile whose rows are no multiple of 16 bytes apart");
}

template <class Fragment>
void fill_fragment(Fragment& f, float value) {
  if (leads()) std::fill_n(f.tile, elements, value);
}

template <class Use, class T, class Layout>
void load_matrix_sync(fragment<Use, side, side, side, T, Layout>& f, const T* from, unsigned stride) {
  check_place(from, stride);
  if (leads())
    for (int i = 0; i < elements; ++i) {
      const unsigned r = i / side, c = i % side;
      f.tile[i] = static_cast<float>(std::is_same_v<Layout, row_major> ? from[r * stride + c] : from[c * stride + r]);
    }
  cuda_on_cpu::meet(~0U, 0);
}

template <class C, class A, class B>
void mma_sync(C& d, const A& a, const B& b, const C& c) {
  if (!leads()) return;
  C sum = c;
  for (int i = 0; i < side; ++i)
    for (int k = 0; k < side; ++k)
      for (int j = 0; j < side; ++j) sum.tile[i * side + j] += a.tile[i * side + k] * b.tile[k * side + j];
  d = sum;
}

template <class Fragment>
void store_matrix_sync(float* to, const Fragment& f, unsigned stride, layout_t layout) {
  check_place(to, stride);
  if (leads())
    for (int i = 0; i < elements; ++i) {
      const unsigned r = i / side, c = i % side;
      to[layout == mem_row_major ? r * stride + c : c * stride + r] = f.tile[i];
    }
  cuda_on_cpu::meet(~0U, 0);
}

}  // namespace nvcuda::wmma
