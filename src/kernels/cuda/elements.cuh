// What kernels over the elements of a ragged batch have in common: a thread takes eight columns of a row.
#pragma once

#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <c10/util/BFloat16.h>

#include <algorithm>
#include <vector>

#include "dept/kernels/dropout.h"
#include "kernels/cuda/numbers.cuh"
#include "kernels/cuda/table.h"
#include "kernels/origin.h"

namespace dept::kernels::cuda {

constexpr int element_threads = 256, eight = 8;

/// The rows of one sequence, and its dropout.
struct Sequence {
  Stream stream;
  int64_t first, length;
  int64_t skipped = 0;  ///< tokens of its text in front of it
};

/// What dropout does to an element; a threshold of 0 keeps all.
template <class T>
struct Keep {
  uint32_t threshold;
  T scale;
};

template <class T>
Keep<T> keep_of(const Dropout& dropout) {
  if (!dropout) return {0, T(1)};
  return {dropout_threshold(dropout.p), static_cast<T>(dropout_scale(dropout.p))};
}

/// The sequences of a dropout; without one, all rows as one sequence.
inline std::vector<Sequence> sequences_of(const Dropout& dropout, int64_t rows) {
  std::vector<Sequence> all;
  if (!dropout) all.push_back({{}, 0, rows});
  for (size_t b = 0; b < dropout.streams.size(); ++b)
    all.push_back({stream_of(dropout.streams[b]), dropout.first_token[b], dropout.first_token[b + 1] - dropout.first_token[b],
                   dropout.token(b, dropout.first_token[b])});
  return all;
}

/// Their table on `device`.
inline Table<Sequence> sequence_table(const Dropout& dropout, int64_t rows, at::Device device) {
  return {sequences_of(dropout, rows), device,
          [rows, origin = DropoutOrigin(dropout)](const StepBatch& now) { return sequences_of(origin.of(now), rows); }};
}

/// The eight columns of a thread: row and first column, how many of them there are, and their numbers.
class Eight {
 public:
  __device__ Eight(const Sequence& sequence, int64_t columns) : numbers_(sequence.stream) {
    const int64_t groups = (columns + eight - 1) / eight, place = blockIdx.y * int64_t{element_threads} + threadIdx.x;
    const int64_t token = place / groups, column = place % groups * eight;
    if (token >= sequence.length) return;
    count = columns - column < eight ? static_cast<int>(columns - column) : eight;
    first = (sequence.first + token) * columns + column;
    byte = (sequence.first + token) * groups + place % groups;
    element_ = (sequence.skipped + token) * columns + column;
  }

  template <class T>
  __device__ bool keeps(const Keep<T>& keep, int i) {
    return keep.threshold == 0 || numbers_.at(static_cast<uint64_t>(element_ + i)) >= keep.threshold;
  }

  int count = 0;      ///< of elements; 0: a thread too many
  int64_t first = 0;  ///< the first one's index in [N, columns]
  int64_t byte = 0;   ///< index of their byte in [N, ceil(columns / 8)]

 private:
  Numbers numbers_;
  int64_t element_ = 0;  // the first one's number in its stream
};

/// The grid for all sequences: one a block.x, tiles of its elements in block.y.
inline dim3 grid_of(const std::vector<Sequence>& sequences, int64_t columns) {
  int64_t longest = 0;
  for (const Sequence& sequence : sequences) longest = std::max(longest, sequence.length);
  const int64_t threads = longest * ((columns + eight - 1) / eight);
  return dim3(static_cast<unsigned>(sequences.size()), static_cast<unsigned>((threads + element_threads - 1) / element_threads));
}

/// Calls f(C{}, T{}): an element's type and the one it is computed in.
template <class F>
void with_element_types(at::ScalarType dtype, F&& f) {
  if (dtype == at::kBFloat16) return f(c10::BFloat16{}, float{});
  if (dtype == at::kDouble) return f(double{}, double{});
  f(float{}, float{});
}

// One rounding each, as on the CPU, where the compiler would make one of a product and a sum.
__device__ inline float product(float a, float b) {
  return __fmul_rn(a, b);
}
__device__ inline double product(double a, double b) {
  return __dmul_rn(a, b);
}
__device__ inline float sum(float a, float b) {
  return __fadd_rn(a, b);
}
__device__ inline double sum(double a, double b) {
  return __dadd_rn(a, b);
}

}  // namespace dept::kernels::cuda
