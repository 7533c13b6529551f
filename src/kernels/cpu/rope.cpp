#include <ATen/Parallel.h>

#include "kernels/cpu/simd.h"
#include "kernels/operators.h"

namespace dept::kernels::cpu {
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

void rope(at::Tensor& x, const RopeAngles& angles, bool inverse) {
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

}  // namespace dept::kernels::cpu
