// ReLU with dropout in place, and the bits that its backward reads. Formulas: dept/kernels/activation.h.
#include <ATen/ops/empty.h>

#include "kernels/cuda/elements.cuh"
#include "kernels/operators.h"

namespace dept::kernels::cuda {
namespace {

template <class C, class T>
__global__ void forward_rows(C* x, uint8_t* bits, const Sequence* sequences, int64_t columns, Keep<T> keep) {
  Eight mine(sequences[blockIdx.x], columns);
  unsigned kept = 0;
  for (int i = 0; i < mine.count; ++i) {
    const int64_t at = mine.first + i;
    const T value = static_cast<T>(x[at]);
    const bool stays = value > T(0) && mine.keeps(keep, i);
    x[at] = static_cast<C>(stays ? product(value, keep.scale) : T(0));
    kept |= static_cast<unsigned>(stays) << i;
  }
  if (bits != nullptr && mine.count > 0) bits[mine.byte] = static_cast<uint8_t>(kept);
}

template <class C, class T>
__global__ void backward_rows(C* d, const uint8_t* bits, const Sequence* sequences, int64_t columns, T scale) {
  Eight mine(sequences[blockIdx.x], columns);
  if (mine.count == 0) return;
  const unsigned kept = bits[mine.byte];
  for (int i = 0; i < mine.count; ++i) {
    const int64_t at = mine.first + i;
    d[at] = static_cast<C>((kept >> i & 1) != 0 ? product(static_cast<T>(d[at]), scale) : T(0));
  }
}

}  // namespace

void relu_dropout(at::Tensor& x, const Dropout& dropout, at::Tensor* kept) {
  const c10::cuda::CUDAGuard guard(x.device());
  const int64_t rows = x.size(0), columns = x.size(1);
  if (kept != nullptr) *kept = at::empty({rows, (columns + eight - 1) / eight}, x.options().dtype(at::kByte));
  if (x.numel() == 0) return;
  const std::vector<Sequence> sequences = sequences_of(dropout, rows);
  const Table<Sequence> table = sequence_table(dropout, rows, x.device());
  const dim3 grid = grid_of(sequences, columns);
  with_element_types(x.scalar_type(), [&](auto element, auto arithmetic) {
    using C = decltype(element);
    using T = decltype(arithmetic);
    forward_rows<C, T><<<grid, element_threads, 0, c10::cuda::getCurrentCUDAStream()>>>(
        x.mutable_data_ptr<C>(), kept != nullptr ? kept->mutable_data_ptr<uint8_t>() : nullptr, table.data(), columns,
        keep_of<T>(dropout));
    C10_CUDA_KERNEL_LAUNCH_CHECK();
  });
}

void relu_dropout_backward(at::Tensor& d, const Dropout& dropout, const at::Tensor& kept) {
  const c10::cuda::CUDAGuard guard(d.device());
  if (d.numel() == 0) return;
  const std::vector<Sequence> sequences = sequences_of({}, d.size(0));
  const Table<Sequence> table = sequence_table({}, d.size(0), d.device());
  const dim3 grid = grid_of(sequences, d.size(1));
  with_element_types(d.scalar_type(), [&](auto element, auto arithmetic) {
    using C = decltype(element);
    using T = decltype(arithmetic);
    backward_rows<C, T><<<grid, element_threads, 0, c10::cuda::getCurrentCUDAStream()>>>(
        d.mutable_data_ptr<C>(), kept.const_data_ptr<uint8_t>(), table.data(), d.size(1), keep_of<T>(dropout).scale);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
  });
}

}  // namespace dept::kernels::cuda
