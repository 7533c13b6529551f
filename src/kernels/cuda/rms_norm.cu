// RMSNorm on a GPU: one block a row, statistics in the residual's type. Formulas: dept/kernels/rms_norm.h.
#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <c10/util/BFloat16.h>

#include "kernels/operators.h"

namespace dept::kernels::cuda {
namespace {

constexpr int threads = 256;

// The sum of `value` over the block, for every thread of it.
template <class T>
__device__ T block_sum(T value) {
  __shared__ T partial[threads];
  partial[threadIdx.x] = value;
  for (unsigned half = threads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) partial[threadIdx.x] += partial[threadIdx.x + half];
  }
  __syncthreads();
  return partial[0];
}

// C: branch type, T: residual type. Row n is block n.
template <class C, class T>
__global__ void forward_rows(const T* x, const T* weight, C* y, C* normalised, T* rstd, int64_t d, T eps) {
  x += blockIdx.x * d;
  y += blockIdx.x * d;
  T squares = 0;
  for (int64_t i = threadIdx.x; i < d; i += threads) squares += x[i] * x[i];
  const T scale = T(1) / sqrt(block_sum(squares) / static_cast<T>(d) + eps);
  for (int64_t i = threadIdx.x; i < d; i += threads) y[i] = static_cast<C>(x[i] * scale * weight[i]);
  if (normalised == nullptr) return;
  if (threadIdx.x == 0) rstd[blockIdx.x] = scale;
  for (int64_t i = threadIdx.x; i < d; i += threads) normalised[blockIdx.x * d + i] = static_cast<C>(x[i] * scale);
}

template <class C, class T>
__global__ void backward_rows(const C* dy, const C* normalised, const T* weight, const T* rstd, T* dx, int64_t d) {
  dy += blockIdx.x * d;
  normalised += blockIdx.x * d;
  dx += blockIdx.x * d;
  T dot = 0;
  for (int64_t i = threadIdx.x; i < d; i += threads) dot += static_cast<T>(dy[i]) * weight[i] * static_cast<T>(normalised[i]);
  const T mean = block_sum(dot) / static_cast<T>(d);
  for (int64_t i = threadIdx.x; i < d; i += threads)
    dx[i] += rstd[blockIdx.x] * (static_cast<T>(dy[i]) * weight[i] - static_cast<T>(normalised[i]) * mean);
}

// Calls f(C{}, T{}): branch type fp32 or bf16 with an fp32 residual, or fp64 with fp64.
template <class F>
void with_types(at::ScalarType dtype, F&& f) {
  if (dtype == at::kBFloat16) return f(c10::BFloat16{}, float{});
  if (dtype == at::kDouble) return f(double{}, double{});
  f(float{}, float{});
}

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, at::ScalarType dtype, NormSaved* saved) {
  const c10::cuda::CUDAGuard guard(x.device());
  const int64_t n = x.size(0), d = x.size(1);
  at::Tensor y = at::empty({n, d}, x.options().dtype(dtype));
  if (saved != nullptr) *saved = {at::empty({n, d}, y.options()), at::empty({n}, x.options())};
  with_types(dtype, [&](auto branch, auto residual) {
    using C = decltype(branch);
    using T = decltype(residual);
    if (n == 0) return;
    forward_rows<C, T><<<n, threads, 0, c10::cuda::getCurrentCUDAStream()>>>(
        x.const_data_ptr<T>(), weight.const_data_ptr<T>(), y.mutable_data_ptr<C>(),
        saved != nullptr ? saved->normalised.mutable_data_ptr<C>() : nullptr,
        saved != nullptr ? saved->rstd.mutable_data_ptr<T>() : nullptr, d, static_cast<T>(eps));
    C10_CUDA_KERNEL_LAUNCH_CHECK();
  });
  return y;
}

void rms_norm_backward(const at::Tensor& dy, const NormSaved& saved, const at::Tensor& weight, at::Tensor& dx) {
  const c10::cuda::CUDAGuard guard(dx.device());
  const int64_t n = dx.size(0), d = dx.size(1);
  with_types(dy.scalar_type(), [&](auto branch, auto residual) {
    using C = decltype(branch);
    using T = decltype(residual);
    if (n == 0) return;
    backward_rows<C, T><<<n, threads, 0, c10::cuda::getCurrentCUDAStream()>>>(
        dy.const_data_ptr<C>(), saved.normalised.const_data_ptr<C>(), weight.const_data_ptr<T>(), saved.rstd.const_data_ptr<T>(),
        dx.mutable_data_ptr<T>(), d);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
  });
}

}  // namespace dept::kernels::cuda
