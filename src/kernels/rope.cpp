#include "dept/kernels/rope.h"

#include <ATen/Parallel.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/sin.h>

#include "kernels/simd.h"

namespace dept::kernels {
namespace {

// direction 1 rotates, -1 rotates back.
template <class C, class T>
DEPT_INLINE void rotate_head(C* x, const T* cosine, const T* sine, T direction, int64_t half) {
#pragma omp simd
  for (int64_t i = 0; i < half; ++i) {
    const T a = load(x[i]), b = load(x[i + half]), s = direction * sine[i];
    store(x[i], a * cosine[i] - b * s);
    store(x[i + half], b * cosine[i] + a * s);
  }
}

#define DEPT_ROTATE(C, T)                                                                                         \
  DEPT_CLONES void rotate_heads(C* x, const T* cosine, const T* sine, T direction, int64_t heads, int64_t stride, \
                                int64_t half) {                                                                   \
    for (int64_t h = 0; h < heads; ++h) rotate_head(x + h * stride, cosine, sine, direction, half);               \
  }
DEPT_ROTATE(float, float)
DEPT_ROTATE(c10::BFloat16, float)
DEPT_ROTATE(double, double)
#undef DEPT_ROTATE

}  // namespace

RopeAngles rope_angles(const at::Tensor& position, const at::Tensor& frequency, at::ScalarType dtype) {
  expect(position.dim() == 1 && position.scalar_type() == at::kLong, "rope_angles", "position int64 [N]", position);
  expect(frequency.dim() == 1 && frequency.scalar_type() == at::kDouble, "rope_angles", "frequency fp64 [K/2]", frequency);
  const at::Tensor angles = at::outer(position.to(at::kDouble), frequency);
  return {at::cos(angles).to(dtype), at::sin(angles).to(dtype)};
}

void rope(at::Tensor& x, const RopeAngles& angles, bool inverse) {
  expect(x.dim() == 3 && x.stride(2) == 1 && angles.cosine.sizes() == at::IntArrayRef({x.size(0), x.size(2) / 2}), "rope",
         "x [N, heads, K] and angles [N, K/2]", x);
  const int64_t half = angles.cosine.size(1);
  dispatch(x.scalar_type(), "rope", [&]<class C>(C) {
    using T = arithmetic_t<C>;
    C* data = x.mutable_data_ptr<C>();
    const T *cosine = angles.cosine.const_data_ptr<T>(), *sine = angles.sine.const_data_ptr<T>();
    at::parallel_for(0, x.size(0), row_grain(x.size(1) * x.size(2)), [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n)
        rotate_heads(data + n * x.stride(0), cosine + n * half, sine + n * half, T(inverse ? -1 : 1), x.size(1), x.stride(1),
                     half);
    });
  });
}

}  // namespace dept::kernels
