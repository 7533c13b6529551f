#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <cmath>

#include "kernels/cpu/simd.h"
#include "kernels/operators.h"

namespace dept::kernels::cpu {
namespace {

// What rows [n, d] of a call are made of. C: type of y, T: residual type. statistics: mean and rstd of each row.
template <class C, class T>
struct ForwardRows {
  const T *x, *weight, *bias;
  C* y;
  int64_t d;
  T eps;
  T* statistics;
};
template <class C, class T>
struct BackwardRows {
  const C* dy;
  const T *x, *weight, *statistics;
  T* dx;
  int64_t d;
};

template <class C, class T>
DEPT_INLINE void forward_row(const T* x, const T* weight, const T* bias, C* y, int64_t d, T eps, T* statistics) {
  T sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < d; ++i) sum += x[i];
  const T mean = sum / static_cast<T>(d);
#pragma omp simd reduction(+ : squares)
  for (int64_t i = 0; i < d; ++i) squares += (x[i] - mean) * (x[i] - mean);
  const T rstd = T(1) / std::sqrt(squares / static_cast<T>(d) + eps);
#pragma omp simd
  for (int64_t i = 0; i < d; ++i) store(y[i], (x[i] - mean) * rstd * weight[i] + bias[i]);
  statistics[0] = mean;
  statistics[1] = rstd;
}

template <class C, class T>
DEPT_INLINE void backward_row(const C* dy, const T* x, const T* weight, const T* statistics, T* dx, int64_t d) {
  const T mean = statistics[0], rstd = statistics[1];
  T sum = 0, dot = 0;
#pragma omp simd reduction(+ : sum, dot)
  for (int64_t i = 0; i < d; ++i) {
    const T g = static_cast<T>(load(dy[i])) * weight[i];
    sum += g;
    dot += g * (x[i] - mean);
  }
  const T mean_g = sum / static_cast<T>(d), slope = dot * rstd * rstd / static_cast<T>(d);
#pragma omp simd
  for (int64_t i = 0; i < d; ++i) dx[i] += rstd * (static_cast<T>(load(dy[i])) * weight[i] - mean_g - (x[i] - mean) * slope);
}

#define DEPT_ROWS(C, T)                                                                                 \
  DEPT_CLONES void forward_rows(ForwardRows<C, T> r, int64_t begin, int64_t end) {                      \
    for (int64_t n = begin; n < end; ++n)                                                               \
      forward_row(r.x + n * r.d, r.weight, r.bias, r.y + n * r.d, r.d, r.eps, r.statistics + 2 * n);    \
  }                                                                                                     \
  DEPT_CLONES void backward_rows(BackwardRows<C, T> r, int64_t begin, int64_t end) {                    \
    for (int64_t n = begin; n < end; ++n)                                                               \
      backward_row(r.dy + n * r.d, r.x + n * r.d, r.weight, r.statistics + 2 * n, r.dx + n * r.d, r.d); \
  }
DEPT_ROWS(float, float)
DEPT_ROWS(c10::BFloat16, float)
DEPT_ROWS(double, double)
#undef DEPT_ROWS

}  // namespace

at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double eps, at::ScalarType dtype,
                      at::Tensor* statistics) {
  const int64_t n = x.size(0), d = x.size(1);
  at::Tensor y = at::empty({n, d}, x.options().dtype(dtype)), kept = at::empty({n, 2}, x.options());
  dispatch(dtype, "layer_norm", [&]<class C>(C) {
    using T = arithmetic_t<C>;
    const ForwardRows<C, T> rows{.x = x.const_data_ptr<T>(),
                                 .weight = weight.const_data_ptr<T>(),
                                 .bias = bias.const_data_ptr<T>(),
                                 .y = y.mutable_data_ptr<C>(),
                                 .d = d,
                                 .eps = static_cast<T>(eps),
                                 .statistics = kept.mutable_data_ptr<T>()};
    at::parallel_for(0, n, row_grain(d), [&](int64_t begin, int64_t end) { forward_rows(rows, begin, end); });
  });
  if (statistics != nullptr) *statistics = kept;
  return y;
}

void layer_norm_backward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& statistics,
                         at::Tensor& dx) {
  const int64_t n = x.size(0), d = x.size(1);
  dispatch(dy.scalar_type(), "layer_norm_backward", [&]<class C>(C) {
    using T = arithmetic_t<C>;
    const BackwardRows<C, T> rows{.dy = dy.const_data_ptr<C>(),
                                  .x = x.const_data_ptr<T>(),
                                  .weight = weight.const_data_ptr<T>(),
                                  .statistics = statistics.const_data_ptr<T>(),
                                  .dx = dx.mutable_data_ptr<T>(),
                                  .d = d};
    at::parallel_for(0, n, row_grain(d), [&](int64_t begin, int64_t end) { backward_rows(rows, begin, end); });
  });
}

}  // namespace dept::kernels::cpu
