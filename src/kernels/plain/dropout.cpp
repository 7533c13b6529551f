#include <ATen/TensorOperators.h>

#include "kernels/check.h"
#include "kernels/operators.h"
#include "kernels/plain/philox.h"

namespace dept::kernels::plain {

at::Tensor add_dropout(const at::Tensor& x, const at::Tensor& branch, const Dropout& dropout) {
  return x + Mask(dropout, x.size(1), x.device())(branch.to(x.scalar_type()));
}

at::Tensor drop(const at::Tensor& x, const Dropout& dropout, at::ScalarType dtype) {
  return Mask(dropout, x.size(1), x.device())(x.to(arithmetic_type(x.scalar_type()))).to(dtype);
}

}  // namespace dept::kernels::plain
