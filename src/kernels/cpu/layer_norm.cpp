#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <cmath>

#include "kernels/cpu/simd.h"
#include "kernels/operators.h"

namespace dept::kernels::cpu {
namespace {

// What rows [n, d] of a call are made of. C: type of y, T: residual type. normalised and rstd null: not kept.
template <class C, class T>
struct ForwardRows {
  const T *x, *weight, *bias;
  C *y, *normalised;
  T* rstd;
  int64_t d;
  T eps;
};
template <class C, class T>
struct BackwardRows {
  const C *dy, *normalised;
  const T *weight, *rstd;
  T* dx;
  int64_t d;
};

template <class T>
struct Statistics {
  T mean, rstd;
};

template <class C, class T>
DEPT_INLINE Statistics<T> forward_row(const T* x, const T* weight, const T* bias, C* y, int64_t d, T eps) {
  T sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < d; ++i) sum += x[i];
  const T mean = sum / static_cast<T>(d);
#pragma omp simd reduction(+ : squares)
  for (int64_t i = 0; i < d; ++i) squares += (x[i] - mean) * (x[i] - mean);
  const T rstd = T(1) / std::sqrt(squares / static_cast<T>(d) + eps);
#pragma omp simd
  for (int64_t i = 0; i < d; ++i) store(y[i], (x[i] - mean) * rstd * weight[i] + bias[i]);
  return {mean, rstd};
}

template <class C, class T>
DEPT_INLINE void normalised_row(const T* x, Statistics<T> of, C* normalised, int64_t d) {
#pragma omp simd
  for (int64_t i = 0; i < d; ++i) store(normalised[i], (x[i] - of.mean) * of.rstd);
}

template <class C, class T>
DEPT_INLINE void backward_row(const C* dy, const C* normalised, const T* weight, T rstd, T* dx, int64_t d) {
  T sum = 0, dot = 0;
#pragma omp simd reduction(+ : sum, dot)
  for (int64_t i = 0; i < d; ++i) {
    const T g = static_cast<T>(load(dy[i])) * weight[i];
    sum += g;
    dot += g * load(normalised[i]);
  }
  const T mean_g = sum / static_cast<T>(d), slope = dot / static_cast<T>(d);
#pragma omp simd
  for (int64_t i = 0; i < d; ++i)
    dx[i] += rstd * (static_cast<T>(load(dy[i])) * weight[i] - mean_g - load(normalised[i]) * slope);
}

#define DEPT_ROWS(C, T)                                                                                 \
  DEPT_CLONES void forward_rows(ForwardRows<C, T> r, int64_t begin, int64_t end) {                      \
    for (int64_t n = begin; n < end; ++n) {                                                             \
      const Statistics<T> of = forward_row(r.x + n * r.d, r.weight, r.bias, r.y + n * r.d, r.d, r.eps); \
      if (r.normalised == nullptr) continue;                                                            \
      normalised_row(r.x + n * r.d, of, r.normalised + n * r.d, r.d);                                   \
      r.rstd[n] = of.rstd;                                                                              \
    }                                                                                                   \
  }                                                                                                     \
  DEPT_CLONES void backward_rows(BackwardRows<C, T> r, int64_t begin, int64_t end) {                    \
    for (int64_t n = begin; n < end; ++n)                                                               \
      backward_row(r.dy + n * r.d, r.normalised + n * r.d, r.weight, r.rstd[n], r.dx + n * r.d, r.d);   \
  }
DEPT_ROWS(float, float)
DEPT_ROWS(c10::BFloat16, float)
DEPT_ROWS(double, double)
#undef DEPT_ROWS

}  // namespace

at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double eps, at::ScalarType dtype,
                      NormSaved* saved) {
  const int64_t n = x.size(0), d = x.size(1);
  at::Tensor y = at::empty({n, d}, x.options().dtype(dtype));
  if (saved != nullptr) *saved = {at::empty({n, d}, y.options()), at::empty({n}, x.options())};
  dispatch(dtype, "layer_norm", [&]<class C>(C) {
    using T = arithmetic_t<C>;
    const ForwardRows<C, T> rows{.x = x.const_data_ptr<T>(),
                                 .weight = weight.const_data_ptr<T>(),
                                 .bias = bias.const_data_ptr<T>(),
                                 .y = y.mutable_data_ptr<C>(),
                                 .normalised = saved != nullptr ? saved->normalised.mutable_data_ptr<C>() : nullptr,
                                 .rstd = saved != nullptr ? saved->rstd.mutable_data_ptr<T>() : nullptr,
                                 .d = d,
                                 .eps = static_cast<T>(eps)};
    at::parallel_for(0, n, row_grain(d), [&](int64_t begin, int64_t end) { forward_rows(rows, begin, end); });
  });
  return y;
}

void layer_norm_backward(const at::Tensor& dy, const NormSaved& saved, const at::Tensor& weight, at::Tensor& dx) {
  const int64_t n = dx.size(0), d = dx.size(1);
  dispatch(dy.scalar_type(), "layer_norm_backward", [&]<class C>(C) {
    using T = arithmetic_t<C>;
    const BackwardRows<C, T> rows{.dy = dy.const_data_ptr<C>(),
                                  .normalised = saved.normalised.const_data_ptr<C>(),
                                  .weight = weight.const_data_ptr<T>(),
                                  .rstd = saved.rstd.const_data_ptr<T>(),
                                  .dx = dx.mutable_data_ptr<T>(),
                                  .d = d};
    at::parallel_for(0, n, row_grain(d), [&](int64_t begin, int64_t end) { backward_rows(rows, begin, end); });
  });
}

}  // namespace dept::kernels::cpu
