#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "kernels/operators.h"
#include "kernels/plain/gathered_sums.h"

namespace dept::kernels::plain {

at::Tensor rows_or_zero(const at::Tensor& x, const at::Tensor& index) {
  std::vector<int64_t> one = x.sizes().vec();
  one[0] = 1;
  return at::cat({x, at::zeros(one, x.options())}).index_select(0, index);
}

void GatheredSums::make(const std::vector<int64_t>& to, int64_t rows, Upload& upload) {
  const auto none = static_cast<int64_t>(to.size());
  std::vector<std::vector<int64_t>> summands(rows);
  for (size_t i = 0; i < to.size(); ++i)
    if (to[i] >= 0) summands[to[i]].push_back(static_cast<int64_t>(i));
  size_t most = 0;
  for (const auto& list : summands) most = std::max(most, list.size());
  std::vector<int64_t> single(rows, none), crowded, table;
  for (int64_t row = 0; row < rows; ++row) {
    if (summands[row].size() == 1) single[row] = summands[row].front();
    if (summands[row].size() < 2) continue;
    crowded.push_back(row);
    table.insert(table.end(), summands[row].begin(), summands[row].end());
    table.resize(crowded.size() * most, none);
  }
  upload.add(single, single_);
  upload.add(crowded, rows_);
  upload.add(table, several_);
}

at::Tensor GatheredSums::operator()(const at::Tensor& x) const {
  at::Tensor sums = rows_or_zero(x, single_);
  const int64_t crowded = rows_.size(0);
  if (crowded == 0) return sums;
  return sums.index_copy_(0, rows_, rows_or_zero(x, several_).unflatten(0, {crowded, -1}).sum(1));
}

at::Tensor row_sums(const at::Tensor& x, const std::vector<int64_t>& to, int64_t rows) {
  Upload upload;
  GatheredSums sums;
  sums.make(to, rows, upload);
  upload.send(x.device());
  return sums(x);
}

}  // namespace dept::kernels::plain
