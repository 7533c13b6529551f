// What the CPU kernels share: conversion between storage and arithmetic types, dispatch.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/BFloat16.h>

#include <bit>
#include <cstdint>
#include <string_view>

#include "dept/base/clones.h"
#include "kernels/check.h"

namespace dept::kernels {

/// Arithmetic type of a storage type: fp32 for bf16 and fp32, fp64 for fp64.
template <class T>
struct Arithmetic {
  using type = float;
};
template <>
struct Arithmetic<double> {
  using type = double;
};
template <class T>
using arithmetic_t = typename Arithmetic<T>::type;

DEPT_INLINE float load(float x) {
  return x;
}
DEPT_INLINE double load(double x) {
  return x;
}
DEPT_INLINE float load(c10::BFloat16 x) {
  return std::bit_cast<float>(static_cast<uint32_t>(x.x) << 16);
}

DEPT_INLINE void store(float& to, float x) {
  to = x;
}
DEPT_INLINE void store(double& to, double x) {
  to = x;
}
/// Rounds to nearest, ties to even.
DEPT_INLINE void store(c10::BFloat16& to, float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  to.x = static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

/// exp in fp32 to about 1 unit in the last place, vectorisable: 2^n * e^r with |r| <= ln(2)/2 and a Taylor polynomial.
DEPT_INLINE float fast_exp(float x) {
  x = x < -87.3F ? -87.3F : x > 88.0F ? 88.0F : x;
  const float shifted = x * 1.44269504F + 12582912.0F;  // 1.5 * 2^23: rounds to an integer in the low bits
  const float n = shifted - 12582912.0F;
  const float r = (x - n * 0.693359375F) + n * 2.12194440e-4F;
  float p = 1.0F / 5040;
  p = p * r + 1.0F / 720;
  p = p * r + 1.0F / 120;
  p = p * r + 1.0F / 24;
  p = p * r + 1.0F / 6;
  p = p * r + 0.5F;
  p = p * r + 1.0F;
  p = p * r + 1.0F;
  const int32_t exponent = (std::bit_cast<int32_t>(shifted) - 0x4B400000 + 127) << 23;
  return p * std::bit_cast<float>(exponent);
}
DEPT_INLINE float exponential(float x) {
  return fast_exp(x);
}
DEPT_INLINE double exponential(double x) {
  return __builtin_exp(x);
}

/// Calls f(T{}) with the C++ type of a compute dtype: fp32, bf16 or fp64.
template <class F>
void dispatch(at::ScalarType dtype, std::string_view where, F&& f) {
  switch (dtype) {
    case at::kFloat:
      return f(float{});
    case at::kBFloat16:
      return f(c10::BFloat16{});
    case at::kDouble:
      return f(double{});
    default:
      fail(Code::bug, where, "fp32, bf16 or fp64", dept::str(dtype));
  }
}

/// Rows handled by one thread at least: small tensors stay on one.
inline int64_t row_grain(int64_t columns) {
  return columns > 0 ? 1 + 16384 / columns : 1;
}

}  // namespace dept::kernels
