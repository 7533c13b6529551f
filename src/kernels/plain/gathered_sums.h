// Sums of rows as a selection and a reduction: no addition by atomics.
#pragma once

#include <cstdint>
#include <vector>

#include "dept/tensor/upload.h"

namespace dept::kernels::plain {

/// Rows `index` of x [N, ...], of which row N is zeros.
at::Tensor rows_or_zero(const at::Tensor& x, const at::Tensor& index);

/// sums[r] = the sum of x[i] over all i with to[i] = r; to[i] = -1 counts nowhere. Lists of rows are made on the host: each row's
/// only summand, and for the rows with several summands a table of them all.
class GatheredSums {
 public:
  /// `upload` keeps where this is until it is sent.
  void make(const std::vector<int64_t>& to, int64_t rows, Upload& upload);

  /// x [N, ...] -> [rows, ...]
  at::Tensor operator()(const at::Tensor& x) const;

 private:
  at::Tensor single_;   // int64 [rows] a row's only summand, or N
  at::Tensor rows_;     // int64 [R] rows with several summands
  at::Tensor several_;  // int64 [R * most] all of theirs, filled up with N
};

}  // namespace dept::kernels::plain
