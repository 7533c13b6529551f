// What both attention kernels share: views of heads, and the sums of a shared prefix's gradients.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "dept/kernels/attention.h"
#include "kernels/cpu/simd.h"

namespace dept::kernels {

/// A [N, heads, K] tensor as a pointer and a row stride.
template <class C>
struct Heads {
  C* data;
  int64_t stride;
  int64_t k;
  C* at(int64_t row, int64_t head) const { return data + row * stride + head * k; }
};
template <class C>
Heads<const C> heads_of(const at::Tensor& x) {
  return {x.const_data_ptr<C>(), x.stride(0), x.size(2)};
}
template <class C>
Heads<C> mutable_heads_of(const at::Tensor& x) {
  return {x.mutable_data_ptr<C>(), x.stride(0), x.size(2)};
}

struct Shape {
  int64_t heads, kv_heads, k, queries;
  int64_t group() const { return heads / kv_heads; }
};

/// One call of attention or of its backward.
struct AttentionCall {
  const AttentionInputs& in;
  const std::vector<AttentionSpan>& spans;
  const AttentionOptions& options;
  Shape shape{in.q.size(1), in.k.size(1), in.q.size(2), in.q.size(0)};
};

/// Sums of gradients of prefix keys and values, which many spans add to: one accumulator a thread, added up in thread order.
template <class T>
struct PrefixSums {
  int64_t begin = 0, rows = 0, width = 0;
  std::vector<std::vector<T>> threads;  // [threads][2 * rows * width]

  PrefixSums(const std::vector<AttentionSpan>& spans, int64_t width) : width(width) {
    int64_t end = 0;
    begin = INT64_MAX;
    for (const AttentionSpan& span : spans) {
      if (span.prefix_length == 0) continue;
      begin = std::min(begin, span.prefix_begin);
      end = std::max(end, span.prefix_begin + span.prefix_length);
    }
    rows = end > begin ? end - begin : 0;
    threads.resize(at::get_num_threads());
  }
  std::vector<T>& mine() {
    std::vector<T>& sums = threads[at::get_thread_num()];
    if (sums.empty()) sums.assign(2 * rows * width, T(0));
    return sums;
  }
};

template <class C, class T = arithmetic_t<C>>
void add_prefix_sums(const PrefixSums<T>& sums, int64_t k, Heads<C> dk, Heads<C> dv) {
  for (int64_t row = 0; row < sums.rows; ++row) {
    for (int64_t c = 0; c < sums.width; ++c) {
      C &to_k = dk.at(sums.begin + row, c / k)[c % k], &to_v = dv.at(sums.begin + row, c / k)[c % k];
      T sum_k = load(to_k), sum_v = load(to_v);
      for (const auto& thread : sums.threads) {
        if (thread.empty()) continue;
        sum_k += thread[row * sums.width + c];
        sum_v += thread[(sums.rows + row) * sums.width + c];
      }
      store(to_k, sum_k);
      store(to_v, sum_v);
    }
  }
}

template <class C>
struct Gradients {
  Heads<C> dq, dk, dv;
};

/// Where key j of a span stands.
inline int64_t key_row(const AttentionSpan& span, int64_t j) {
  return j < span.prefix_length ? span.prefix_begin + j : span.k_begin + j - span.prefix_length;
}

/// Gradients [keys, k] of one span and key/value head.
template <class T>
struct KeyGradients {
  const T *dk, *dv;
  int64_t k;
};

/// Own keys are written by write(from, to, k), prefix keys are added to the thread's sums.
template <class C, class Write, class T = arithmetic_t<C>>
void write_key_gradients(const AttentionSpan& span, int64_t kv_head, const KeyGradients<T>& from, const Gradients<C>& to,
                         PrefixSums<T>& prefix, Write&& write) {
  const int64_t k = from.k;
  for (int64_t j = 0; j < span.prefix_length + span.k_length; ++j) {
    const T *from_k = from.dk + j * k, *from_v = from.dv + j * k;
    const int64_t row = key_row(span, j);
    if (j >= span.prefix_length) {
      write(from_k, to.dk.at(row, kv_head), k);
      write(from_v, to.dv.at(row, kv_head), k);
      continue;
    }
    T* sum_k = prefix.mine().data() + (row - prefix.begin) * prefix.width + kv_head * k;
    T* sum_v = sum_k + prefix.rows * prefix.width;
    for (int64_t c = 0; c < k; ++c) {
      sum_k[c] += from_k[c];
      sum_v[c] += from_v[c];
    }
  }
}

/// attention() and attention_backward() in bf16 by packed products; see there. `tileable`: whether the shape can be done so.
bool tileable(const at::Tensor& q);
void tiled_attention(const AttentionCall& call, at::Tensor& out, at::Tensor& lse);
void tiled_attention_backward(const AttentionCall& call, const at::Tensor& d_out, const at::Tensor& lse,
                              const AttentionGradients& to);
/// Fills in what is packed of a memory and where.
void pack_memory(const Ragged& tokens, AttentionMemory& memory);

}  // namespace dept::kernels
