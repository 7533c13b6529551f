#include "dept/kernels/row_sums.h"

#include "kernels/siblings.h"

namespace dept::kernels {

namespace {

void check(const at::Tensor& x, const std::vector<int64_t>& to, int64_t rows) {
  constexpr std::string_view where = "row_sums";
  expect(x.dim() >= 1 && x.size(0) == static_cast<int64_t>(to.size()), where, dept::str("[", to.size(), ", ...]"), x);
  for (const int64_t row : to)
    if (row < -1 || row >= rows) fail(Code::bug, where, dept::str("rows below ", rows, ", or -1"), dept::str(row));
}

}  // namespace

at::Tensor row_sums(const at::Tensor& x, const std::vector<int64_t>& to, int64_t rows, Kernels kernels) {
  check(x, to, rows);
  return choose(x.device(), kernels, cpu::row_sums, plain::row_sums)(x, to, rows);
}

at::Tensor wide_row_sums(const at::Tensor& x, const std::vector<int64_t>& to, int64_t rows, Kernels kernels) {
  check(x, to, rows);
  return choose(x.device(), kernels, cpu::wide_row_sums, plain::wide_row_sums)(x, to, rows);
}

}  // namespace dept::kernels
