// Dropout, and dropout of a branch with the residual it is added to. Formulas: dept/kernels/dropout.h.
#include <ATen/ops/empty_like.h>

#include "kernels/cuda/elements.cuh"
#include "kernels/operators.h"

namespace dept::kernels::cuda {
namespace {

// C: branch type, T: arithmetic type, O: type of `out`. x null: dropout alone.
template <class C, class T, class O>
__global__ void masked_rows(const T* x, const C* branch, O* out, const Sequence* sequences, int64_t columns, Keep<T> keep) {
  Eight mine(sequences[blockIdx.x], columns);
  for (int i = 0; i < mine.count; ++i) {
    const int64_t at = mine.first + i;
    const T kept = mine.keeps(keep, i) ? product(static_cast<T>(branch[at]), keep.scale) : T(0);
    out[at] = static_cast<O>(x != nullptr ? sum(x[at], kept) : kept);
  }
}

template <class C, class T, class O>
void launch_masked(const at::Tensor* x, const at::Tensor& branch, const Dropout& dropout, at::Tensor& out) {
  if (branch.numel() == 0) return;
  const std::vector<Sequence> sequences = sequences_of(dropout, branch.size(0));
  const Table<Sequence> table = sequence_table(dropout, branch.size(0), branch.device());
  const dim3 grid = grid_of(sequences, branch.size(1));
  masked_rows<C, T, O><<<grid, element_threads, 0, c10::cuda::getCurrentCUDAStream()>>>(
      x != nullptr ? x->const_data_ptr<T>() : nullptr, branch.const_data_ptr<C>(), out.mutable_data_ptr<O>(), table.data(),
      branch.size(1), keep_of<T>(dropout));
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace

at::Tensor add_dropout(const at::Tensor& x, const at::Tensor& branch, const Dropout& dropout) {
  const c10::cuda::CUDAGuard guard(x.device());
  at::Tensor out = at::empty_like(x);
  with_element_types(branch.scalar_type(), [&](auto element, auto arithmetic) {
    launch_masked<decltype(element), decltype(arithmetic), decltype(arithmetic)>(&x, branch, dropout, out);
  });
  return out;
}

at::Tensor drop(const at::Tensor& x, const Dropout& dropout, at::ScalarType dtype) {
  const c10::cuda::CUDAGuard guard(x.device());
  at::Tensor out = at::empty_like(x, x.options().dtype(dtype));
  with_element_types(x.scalar_type(), [&](auto element, auto arithmetic) {
    using C = decltype(element);
    using T = decltype(arithmetic);
    if (x.scalar_type() == dtype) return launch_masked<C, T, C>(nullptr, x, dropout, out);
    if constexpr (std::is_same_v<C, float>) launch_masked<C, T, c10::BFloat16>(nullptr, x, dropout, out);
  });
  return out;
}

}  // namespace dept::kernels::cuda
