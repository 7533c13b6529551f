#include <ATen/Parallel.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "kernels/cpu/wide_sums.h"
#include "kernels/operators.h"

namespace dept::kernels::cpu {

at::Tensor row_sums(const at::Tensor& x, const std::vector<int64_t>& to, int64_t rows) {
  std::vector<int64_t> index = to;
  std::replace(index.begin(), index.end(), int64_t{-1}, rows);  // one row more than there are, for what counts nowhere
  const bool all_count = std::find(index.begin(), index.end(), rows) == index.end();
  std::vector<int64_t> shape = x.sizes().vec();
  shape[0] = all_count ? rows : rows + 1;
  return at::zeros(shape, x.options()).index_add_(0, at::tensor(index, at::kLong), x).narrow(0, 0, rows);
}

at::Tensor wide_row_sums(const at::Tensor& x, const std::vector<int64_t>& to, int64_t rows) {
  constexpr int64_t grain = 64;  // columns
  std::vector<int64_t> shape = x.sizes().vec();
  shape[0] = rows;
  at::Tensor sums = at::zeros(shape, x.options().dtype(at::kDouble));
  if (x.numel() == 0) return sums;
  const at::Tensor values = x.contiguous();
  const auto summands = static_cast<int64_t>(to.size()), width = values.numel() / summands;
  const float* from = values.const_data_ptr<float>();
  double* into = sums.data_ptr<double>();
  at::parallel_for(0, width, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = 0; i < summands; ++i) {
      if (to[i] < 0) continue;
      const float* value = from + i * width;
      double* sum = into + to[i] * width;
      for (int64_t c = begin; c < end; ++c) sum[c] += value[c];
    }
  });
  return sums;
}

}  // namespace dept::kernels::cpu
