#include "dept/kernels/rope.h"

#include <ATen/ops/cos.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/sin.h>

#include "kernels/siblings.h"

namespace dept::kernels {

RopeAngles rope_angles(const at::Tensor& position, const at::Tensor& frequency, at::ScalarType dtype) {
  expect(position.dim() == 1 && position.scalar_type() == at::kLong, "rope_angles", "position int64 [N]", position);
  expect(frequency.dim() == 1 && frequency.scalar_type() == at::kDouble, "rope_angles", "frequency fp64 [R/2]", frequency);
  common_device("rope_angles", position, frequency);
  const at::Tensor angles = at::outer(position.to(at::kDouble), frequency);
  return {at::cos(angles).to(dtype), at::sin(angles).to(dtype)};
}

void rope(at::Tensor& x, const RopeAngles& angles, bool inverse, Kernels kernels) {
  expect(x.dim() == 3 && x.stride(2) == 1, "rope", "x [N, heads, K], its last dimension contiguous", x);
  expect_compute_type(x, "rope");
  for (const at::Tensor* angle : {&angles.cosine, &angles.sine})
    expect(angle->dim() == 2 && angle->size(0) == x.size(0) && 2 * angle->size(1) <= x.size(2) && angle->is_contiguous() &&
               angle->sizes() == angles.cosine.sizes() && angle->scalar_type() == arithmetic_type(x.scalar_type()),
           "rope", "angles [N, R/2] with R <= K in x's arithmetic type", *angle);
  choose(common_device("rope", x, angles.cosine, angles.sine), kernels, cpu::rope, plain::rope)(x, angles, inverse);
}

}  // namespace dept::kernels
