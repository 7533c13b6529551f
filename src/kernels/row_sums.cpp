#include "dept/kernels/row_sums.h"

#include "kernels/siblings.h"

namespace dept::kernels {

at::Tensor row_sums(const at::Tensor& x, const std::vector<int64_t>& to, int64_t rows, Kernels kernels) {
  constexpr std::string_view where = "row_sums";
  expect(x.dim() >= 1 && x.size(0) == static_cast<int64_t>(to.size()), where, dept::str("[", to.size(), ", ...]"), x);
  for (const int64_t row : to)
    if (row < -1 || row >= rows) fail(Code::bug, where, dept::str("rows below ", rows, ", or -1"), dept::str(row));
  return choose(x.device(), kernels, cpu::row_sums, plain::row_sums)(x, to, rows);
}

}  // namespace dept::kernels
