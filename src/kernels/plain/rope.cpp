#include <ATen/TensorOperators.h>

#include "kernels/check.h"
#include "kernels/operators.h"

namespace dept::kernels::plain {

void rope(at::Tensor& x, const RopeAngles& angles, bool inverse) {
  const int64_t half = angles.cosine.size(1);
  const at::Tensor wide = x.to(arithmetic_type(x.scalar_type()), false, true);
  const at::Tensor a = wide.narrow(2, 0, half), b = wide.narrow(2, half, half);
  const at::Tensor cosine = angles.cosine.unsqueeze(1), sine = inverse ? -angles.sine.unsqueeze(1) : angles.sine.unsqueeze(1);
  x.narrow(2, 0, half).copy_(a * cosine - b * sine);
  x.narrow(2, half, half).copy_(b * cosine + a * sine);
}

}  // namespace dept::kernels::plain
