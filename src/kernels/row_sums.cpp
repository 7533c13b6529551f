#include "dept/kernels/row_sums.h"

#include "kernels/cpu/wide_sums.h"
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
  if (x.is_cpu() && x.scalar_type() == at::kFloat && kernels == Kernels::own) return cpu::wide_row_sums(x, to, rows);
  return row_sums(x.is_cpu() ? x.to(at::kDouble) : x, to, rows, kernels);
}

}  // namespace dept::kernels
