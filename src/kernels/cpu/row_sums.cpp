#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

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

}  // namespace dept::kernels::cpu
