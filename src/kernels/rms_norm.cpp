#include "dept/kernels/rms_norm.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <cmath>

#include "kernels/device.h"
#include "kernels/simd.h"

namespace dept::kernels {
namespace {

// C: branch type, T: residual type.
template <class C, class T>
DEPT_INLINE void forward_row(const T* x, const T* weight, C* y, int64_t d, T eps, T& rstd) {
  T squares = 0;
#pragma omp simd reduction(+ : squares)
  for (int64_t i = 0; i < d; ++i) squares += x[i] * x[i];
  rstd = T(1) / std::sqrt(squares / static_cast<T>(d) + eps);
#pragma omp simd
  for (int64_t i = 0; i < d; ++i) store(y[i], x[i] * rstd * weight[i]);
}

template <class C, class T>
DEPT_INLINE void backward_row(const C* dy, const T* x, const T* weight, T rstd, T* dx, int64_t d) {
  T dot = 0;
#pragma omp simd reduction(+ : dot)
  for (int64_t i = 0; i < d; ++i) dot += static_cast<T>(load(dy[i])) * weight[i] * x[i];
  const T shared = dot * rstd * rstd / static_cast<T>(d);
#pragma omp simd
  for (int64_t i = 0; i < d; ++i) dx[i] += rstd * (static_cast<T>(load(dy[i])) * weight[i] - x[i] * shared);
}

#define DEPT_ROWS(C, T)                                                                                                 \
  DEPT_CLONES void forward_rows(const T* x, const T* w, C* y, int64_t begin, int64_t end, int64_t d, T eps, T* rstd) {  \
    for (int64_t n = begin; n < end; ++n) forward_row(x + n * d, w, y + n * d, d, eps, rstd[n]);                        \
  }                                                                                                                     \
  DEPT_CLONES void backward_rows(const C* dy, const T* x, const T* w, const T* rstd, T* dx, int64_t begin, int64_t end, \
                                 int64_t d) {                                                                           \
    for (int64_t n = begin; n < end; ++n) backward_row(dy + n * d, x + n * d, w, rstd[n], dx + n * d, d);               \
  }
DEPT_ROWS(float, float)
DEPT_ROWS(c10::BFloat16, float)
DEPT_ROWS(double, double)
#undef DEPT_ROWS

void check(const at::Tensor& x, const at::Tensor& weight) {
  expect(x.dim() == 2 && x.is_contiguous() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kDouble), "rms_norm",
         "x as contiguous fp32 or fp64 [N, D]", x);
  expect(weight.dim() == 1 && weight.size(0) == x.size(1) && weight.scalar_type() == x.scalar_type(), "rms_norm",
         "weight [D] of x's dtype", weight);
}

void check_branch(at::ScalarType branch, std::string_view where, const at::Tensor& x) {
  const bool known = branch == at::kFloat || branch == at::kBFloat16 || branch == at::kDouble;
  expect(known && x.scalar_type() == (branch == at::kDouble ? at::kDouble : at::kFloat), where,
         dept::str("x of the arithmetic type of a branch in ", branch == at::kDouble ? "fp64" : "fp32 or bf16"), x);
}

}  // namespace

namespace cpu {

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, at::ScalarType dtype, at::Tensor* rstd) {
  const int64_t n = x.size(0), d = x.size(1);
  at::Tensor y = at::empty({n, d}, x.options().dtype(dtype));
  at::Tensor statistics = at::empty({n}, x.options());
  dispatch(dtype, "rms_norm", [&]<class C>(C) {
    using T = arithmetic_t<C>;
    at::parallel_for(0, n, row_grain(d), [&](int64_t begin, int64_t end) {
      forward_rows(x.const_data_ptr<T>(), weight.const_data_ptr<T>(), y.mutable_data_ptr<C>(), begin, end, d, static_cast<T>(eps),
                   statistics.mutable_data_ptr<T>());
    });
  });
  if (rstd != nullptr) *rstd = statistics;
  return y;
}

void rms_norm_backward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& rstd,
                       at::Tensor& dx) {
  const int64_t n = x.size(0), d = x.size(1);
  dispatch(dy.scalar_type(), "rms_norm_backward", [&]<class C>(C) {
    using T = arithmetic_t<C>;
    at::parallel_for(0, n, row_grain(d), [&](int64_t begin, int64_t end) {
      backward_rows(dy.const_data_ptr<C>(), x.const_data_ptr<T>(), weight.const_data_ptr<T>(), rstd.const_data_ptr<T>(),
                    dx.mutable_data_ptr<T>(), begin, end, d);
    });
  });
}

}  // namespace cpu

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, at::ScalarType dtype, at::Tensor* rstd) {
  check(x, weight);
  check_branch(dtype, "rms_norm", x);
  return by_device(x, cpu::rms_norm, cuda::rms_norm)(x, weight, eps, dtype, rstd);
}

void rms_norm_backward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& rstd,
                       at::Tensor& dx) {
  check(x, weight);
  check_branch(dy.scalar_type(), "rms_norm_backward", x);
  expect(dy.sizes() == x.sizes() && dy.is_contiguous(), "rms_norm_backward", "dy shaped like x", dy);
  expect(dx.sizes() == x.sizes() && dx.is_contiguous() && dx.scalar_type() == x.scalar_type(), "rms_norm_backward", "dx like x",
         dx);
  by_device(x, cpu::rms_norm_backward, cuda::rms_norm_backward)(dy, x, weight, rstd, dx);
}

}  // namespace dept::kernels
