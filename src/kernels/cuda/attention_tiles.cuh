// The parts of attention on tensor cores: tiles of 64 queries and 64 keys in bf16 in shared memory, products in fp32. A block is
// four warps, and each has 16 rows of every product.
#pragma once

#include <cuda_bf16.h>
#include <mma.h>

#include <cstdint>

#include "dept/kernels/attention.h"
#include "kernels/cuda/numbers.cuh"
#include "kernels/cuda/spans.h"

namespace dept::kernels::cuda {

using bf16 = __nv_bfloat16;

constexpr int tile = 64, attention_threads = 128;
constexpr int ld_p = tile + 8, ld_s = tile + 4;  // of tiles of probabilities and of scores; the padding spreads banks

/// Rows of [N, heads, K] with contiguous heads.
template <class T>
struct Rows {
  T* data;
  int64_t stride;  // of a row
};

/// What the kernels are given; all pointers are into the device's memory.
struct Parameters {
  Rows<const bf16> q, k, v, d_out;
  Rows<bf16> out, dq, dk, dv;
  float *lse, *delta;  // [H, queries] each; lse null: not wanted
  int64_t queries;
  int group;  // query heads to a head of keys
  const AttentionSpan* spans;
  const KeyRows* key_rows;
  const Reader* readers;
  const Stream* streams;
  const float* bias;  // [H, 2 reach + 1]; null: none
  int64_t reach;
  float scale, kept_scale;
  uint32_t threshold;  // 0: no dropout
  bool causal;
};

/// Rows of 64 queries and 64 keys, and what becomes of them. K: of a head.
template <int K>
struct Shared {
  static constexpr int ld = K + 8;
  bf16 q[tile * ld], d[tile * ld], keys[tile * ld], values[tile * ld];
  bf16 p[tile * ld_p], ds[tile * ld_p];
  float s[tile * ld_s], dp[tile * ld_s];
};

using Accumulator = nvcuda::wmma::fragment<nvcuda::wmma::accumulator, 16, 16, 16, float>;
template <class Layout>
using Left = nvcuda::wmma::fragment<nvcuda::wmma::matrix_a, 16, 16, 16, bf16, Layout>;
template <class Layout>
using Right = nvcuda::wmma::fragment<nvcuda::wmma::matrix_b, 16, 16, 16, bf16, Layout>;

__device__ inline int64_t keys_of(const AttentionSpan& span) {
  return span.prefix_length + span.k_length;
}
__device__ inline int64_t row_of_key(const AttentionSpan& span, int64_t j) {
  return j < span.prefix_length ? span.prefix_begin + j : span.k_begin + j - span.prefix_length;
}
__device__ inline int warp_row() {
  return static_cast<int>(threadIdx.x) / 32 * 16;
}
__device__ inline int in_tile(int64_t rows) {
  return rows < tile ? static_cast<int>(rows) : tile;
}

/// Rows row(0), row(1), .. of a head into a tile, zeros from `count` on.
template <int K, class RowOf>
__device__ void load_rows(const Rows<const bf16>& from, int head, int count, RowOf row, bf16* to) {
  constexpr int columns = 8;  // at once: 16 bytes
  for (int i = threadIdx.x; i < tile * K / columns; i += attention_threads) {
    const int r = i / (K / columns), c = i % (K / columns) * columns;
    uint4 some = make_uint4(0, 0, 0, 0);
    if (r < count) some = *reinterpret_cast<const uint4*>(from.data + row(r) * from.stride + head * K + c);
    *reinterpret_cast<uint4*>(to + r * Shared<K>::ld + c) = some;
  }
}

/// This warp's rows of s [tile, tile] = a b^T.
template <int K>
__device__ void multiply(const bf16* a, const bf16* b, float* s) {
  using namespace nvcuda;
  constexpr int ld = Shared<K>::ld;
  for (int column = 0; column < tile; column += 16) {
    Accumulator c;
    wmma::fill_fragment(c, 0.0F);
    for (int i = 0; i < K; i += 16) {
      Left<wmma::row_major> left;
      Right<wmma::col_major> right;
      wmma::load_matrix_sync(left, a + warp_row() * ld + i, ld);
      wmma::load_matrix_sync(right, b + column * ld + i, ld);
      wmma::mma_sync(c, left, right, c);
    }
    wmma::store_matrix_sync(s + warp_row() * ld_s + column, c, ld_s, wmma::mem_row_major);
  }
  __syncwarp();
}

/// This warp's 16 rows of a sum [tile, K] of products.
template <int K>
class Sum {
 public:
  __device__ Sum() {
#pragma unroll
    for (Accumulator& c : columns_) nvcuda::wmma::fill_fragment(c, 0.0F);
  }
  /// += a b, a [tile, tile] of probabilities.
  __device__ void add(const bf16* a, const bf16* b) {
    add_product<nvcuda::wmma::row_major>(a + warp_row() * ld_p, 16, b);
  }
  /// += a^T b
  __device__ void add_transposed(const bf16* a, const bf16* b) {
    add_product<nvcuda::wmma::col_major>(a + warp_row(), 16 * ld_p, b);
  }
  /// Its rows, by way of this warp's rows of `scratch`, to rows first .. of a head, of which `count` are there.
  __device__ void write(float* scratch, const Rows<bf16>& to, int head, int64_t first, int count) const {
#pragma unroll
    for (int part = 0; part < K; part += tile) {
      __syncwarp();
#pragma unroll
      for (int column = 0; column < tile; column += 16)
        nvcuda::wmma::store_matrix_sync(scratch + warp_row() * ld_s + column, columns_[(part + column) / 16], ld_s,
                                        nvcuda::wmma::mem_row_major);
      __syncwarp();
      for (int i = threadIdx.x % 32; i < 16 * tile; i += 32) {
        const int row = warp_row() + i / tile, column = i % tile;
        if (row < count)
          to.data[(first + row) * to.stride + head * K + part + column] = __float2bfloat16(scratch[row * ld_s + column]);
      }
    }
  }

 private:
  template <class Layout>
  __device__ void add_product(const bf16* a, int step, const bf16* b) {
    constexpr int ld = Shared<K>::ld;
    for (int i = 0; i < tile; i += 16) {
      Left<Layout> left;
      nvcuda::wmma::load_matrix_sync(left, a + i / 16 * step, ld_p);
#pragma unroll
      for (int column = 0; column < K / 16; ++column) {
        Right<nvcuda::wmma::row_major> right;
        nvcuda::wmma::load_matrix_sync(right, b + i * ld + column * 16, ld);
        nvcuda::wmma::mma_sync(columns_[column], left, right, columns_[column]);
      }
    }
  }

  Accumulator columns_[K / 16];
};

/// What a thread does with scores: half of one of this warp's rows, a query of `head`.
class Half {
 public:
  __device__ Half(const Parameters& o, const AttentionSpan& span, int head, int64_t first_query)
      : row(warp_row() + static_cast<int>(threadIdx.x) % 32 / 2),
        begin(static_cast<int>(threadIdx.x) % 2 * (tile / 2)),
        end(begin + tile / 2),
        query(first_query + row),
        o_(o),
        keys_(keys_of(span)),
        q_length_(span.q_length),
        head_(head),
        offset_(o.causal ? keys_ - span.q_length : 0),
        numbers_(o.streams[o.threshold == 0 ? 0 : span.sequence]) {}

  __device__ bool real() const { return query < q_length_; }
  /// Rows of padding see nothing: their bias would be read out of its bounds.
  __device__ bool sees(int64_t key) const { return real() && key < (o_.causal ? offset_ + query + 1 : keys_); }
  /// The score of a key that is seen, from its product with the query.
  __device__ float score(float product, int64_t key) const {
    const float bias = o_.bias != nullptr ? o_.bias[head_ * (2 * o_.reach + 1) + o_.reach + key - query - offset_] : 0.0F;
    return product * o_.scale + bias;
  }
  /// What dropout multiplies the probability of a key with.
  __device__ float factor(int64_t key) {
    if (o_.threshold == 0) return 1.0F;
    const int64_t element = (head_ * q_length_ + query) * keys_ + key;
    return numbers_.at(static_cast<uint64_t>(element)) >= o_.threshold ? o_.kept_scale : 0.0F;
  }
  /// This row's place in lse and delta.
  __device__ int64_t place(const AttentionSpan& span) const { return head_ * o_.queries + span.q_begin + query; }

  const int row, begin, end;  ///< within the tile; columns [begin, end)
  const int64_t query;        ///< within the span

 private:
  const Parameters& o_;
  const int64_t keys_, q_length_, head_, offset_;
  Numbers numbers_;
};

/// x of both threads of a row.
__device__ inline float with_other_half(float x) {
  return __shfl_xor_sync(0xFFFFFFFFU, x, 1);
}

}  // namespace dept::kernels::cuda
