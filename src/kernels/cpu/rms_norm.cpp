#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <cmath>

#include "kernels/cpu/simd.h"
#include "kernels/operators.h"

namespace dept::kernels::cpu {
namespace {

// What rows [n, d] of a call are made of. C: branch type, T: residual type. normalised and rstd null: not kept.
template <class C, class T>
struct ForwardRows {
  const T *x, *weight;
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

template <class C, class T>
DEPT_INLINE T forward_row(const T* x, const T* weight, C* y, int64_t d, T eps) {
  T squares = 0;
#pragma omp simd reduction(+ : squares)
  for (int64_t i = 0; i < d; ++i) squares += x[i] * x[i];
  const T rstd = T(1) / std::sqrt(squares / static_cast<T>(d) + eps);
#pragma omp simd
  for (int64_t i = 0; i < d; ++i) store(y[i], x[i] * rstd * weight[i]);
  return rstd;
}

template <class C, class T>
DEPT_INLINE void scale_row(const T* x, T rstd, C* normalised, int64_t d) {
#pragma omp simd
  for (int64_t i = 0; i < d; ++i) store(normalised[i], x[i] * rstd);
}

template <class C, class T>
DEPT_INLINE void backward_row(const C* dy, const C* normalised, const T* weight, T rstd, T* dx, int64_t d) {
  T dot = 0;
#pragma omp simd reduction(+ : dot)
  for (int64_t i = 0; i < d; ++i) dot += load(dy[i]) * weight[i] * load(normalised[i]);
  const T mean = dot / static_cast<T>(d);
#pragma omp simd
  for (int64_t i = 0; i < d; ++i) dx[i] += rstd * (load(dy[i]) * weight[i] - load(normalised[i]) * mean);
}

#define DEPT_ROWS(C, T)                                                                               \
  DEPT_CLONES void forward_rows(ForwardRows<C, T> r, int64_t begin, int64_t end) {                    \
    for (int64_t n = begin; n < end; ++n) {                                                           \
      const T scale = forward_row(r.x + n * r.d, r.weight, r.y + n * r.d, r.d, r.eps);                \
      if (r.normalised == nullptr) continue;                                                          \
      scale_row(r.x + n * r.d, scale, r.normalised + n * r.d, r.d);                                   \
      r.rstd[n] = scale;                                                                              \
    }                                                                                                 \
  }                                                                                                   \
  DEPT_CLONES void backward_rows(BackwardRows<C, T> r, int64_t begin, int64_t end) {                  \
    for (int64_t n = begin; n < end; ++n)                                                             \
      backward_row(r.dy + n * r.d, r.normalised + n * r.d, r.weight, r.rstd[n], r.dx + n * r.d, r.d); \
  }
DEPT_ROWS(float, float)
DEPT_ROWS(c10::BFloat16, float)
DEPT_ROWS(double, double)
#undef DEPT_ROWS

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, at::ScalarType dtype, NormSaved* saved) {
  const int64_t n = x.size(0), d = x.size(1);
  at::Tensor y = at::empty({n, d}, x.options().dtype(dtype));
  if (saved != nullptr) *saved = {at::empty({n, d}, y.options()), at::empty({n}, x.options())};
  dispatch(dtype, "rms_norm", [&]<class C>(C) {
    using T = arithmetic_t<C>;
    C* normalised = saved != nullptr ? saved->normalised.mutable_data_ptr<C>() : nullptr;
    T* rstd = saved != nullptr ? saved->rstd.mutable_data_ptr<T>() : nullptr;
    const ForwardRows<C, T> rows{.x = x.const_data_ptr<T>(),
                                 .weight = weight.const_data_ptr<T>(),
                                 .y = y.mutable_data_ptr<C>(),
                                 .normalised = normalised,
                                 .rstd = rstd,
                                 .d = d,
                                 .eps = static_cast<T>(eps)};
    at::parallel_for(0, n, row_grain(d), [&](int64_t begin, int64_t end) { forward_rows(rows, begin, end); });
  });
  return y;
}

void rms_norm_backward(const at::Tensor& dy, const NormSaved& saved, const at::Tensor& weight, at::Tensor& dx) {
  const int64_t n = dx.size(0), d = dx.size(1);
  dispatch(dy.scalar_type(), "rms_norm_backward", [&]<class C>(C) {
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
