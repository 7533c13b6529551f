#include "dept/kernels/argmax.h"

#include "kernels/siblings.h"

namespace dept::kernels {

at::Tensor argmax(const at::Tensor& logits, Kernels kernels) {
  expect(logits.dim() == 2 && logits.size(1) > 0 && logits.is_contiguous(), "argmax", "contiguous [n, V]", logits);
  expect_compute_type(logits, "argmax");
  return choose(logits.device(), kernels, cpu::argmax, plain::argmax)(logits).cpu();
}

}  // namespace dept::kernels
