// CUDA's bf16 as LibTorch's.
#pragma once

#include <c10/util/BFloat16.h>

using __nv_bfloat16 = c10::BFloat16;
inline __nv_bfloat16 __float2bfloat16(float x) {
  return __nv_bfloat16(x);
}
