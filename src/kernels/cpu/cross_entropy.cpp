#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <cmath>

#include "kernels/cpu/simd.h"
#include "kernels/operators.h"

namespace dept::kernels::cpu {
namespace {

// The log-sum-exp of a row; with d also the softmax, written there.
template <class T>
DEPT_INLINE T softmax_row(const T* logits, T* d, int64_t v) {
  T top = logits[0], sum = 0;
#pragma omp simd reduction(max : top)
  for (int64_t i = 0; i < v; ++i) top = std::max(top, logits[i]);
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < v; ++i) sum += exponential(logits[i] - top);
  if (d != nullptr) {
    const T inverse = T(1) / sum;
#pragma omp simd
    for (int64_t i = 0; i < v; ++i) d[i] = exponential(logits[i] - top) * inverse;
  }
  return top + std::log(sum);
}
DEPT_CLONES float softmax_rows(const float* logits, float* d, int64_t v) {
  return softmax_row(logits, d, v);
}
DEPT_CLONES double softmax_rows(const double* logits, double* d, int64_t v) {
  return softmax_row(logits, d, v);
}

// What smoothing changes of a row's loss and gradient.
template <class T>
T smooth_row(const T* logits, T* d, int64_t v, int64_t label, T smoothing) {
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < v; ++i) sum += logits[i];
  const T share = smoothing / static_cast<T>(v);
  if (d != nullptr) {
    for (int64_t i = 0; i < v; ++i) d[i] -= share;
    d[label] += smoothing;
  }
  return smoothing * logits[label] - share * sum;
}

}  // namespace

at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& labels, at::Tensor* d_logits, double smoothing) {
  const int64_t n = logits.size(0), v = logits.size(1);
  const int64_t* label = labels.const_data_ptr<int64_t>();
  at::Tensor nll = at::empty({n}, logits.options());
  if (d_logits != nullptr) *d_logits = at::empty_like(logits);
  dispatch(logits.scalar_type(), "cross_entropy", [&]<class C>(C) {
    using T = arithmetic_t<C>;
    const T* from = logits.const_data_ptr<T>();
    T* d = d_logits != nullptr ? d_logits->mutable_data_ptr<T>() : nullptr;
    T* losses = nll.mutable_data_ptr<T>();
    at::parallel_for(0, n, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const T* row = from + i * v;
        T* d_row = d != nullptr ? d + i * v : nullptr;
        losses[i] = softmax_rows(row, d_row, v) - row[label[i]];
        if (d != nullptr) d_row[label[i]] -= T(1);
        if (smoothing > 0) losses[i] += smooth_row(row, d_row, v, label[i], static_cast<T>(smoothing));
      }
    });
  });
  return nll;
}

}  // namespace dept::kernels::cpu
