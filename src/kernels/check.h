// What the doors check of the tensors that they are given.
#pragma once

#include <ATen/core/Tensor.h>

#include <string_view>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/kernels/dropout.h"

namespace dept::kernels {

inline void expect(bool good, std::string_view where, std::string_view expected, const at::Tensor& received) {
  if (!good) fail(Code::bug, where, expected, dept::str(received.scalar_type(), " ", received.sizes()));
}

inline void expect_compute_type(const at::Tensor& x, std::string_view where) {
  const at::ScalarType dtype = x.scalar_type();
  expect(dtype == at::kFloat || dtype == at::kBFloat16 || dtype == at::kDouble, where, "fp32, bf16 or fp64", x);
}

inline void expect_rows(const Dropout& dropout, int64_t rows, std::string_view where) {
  if (dropout && rows != dropout.first_token.back())
    fail(Code::bug, where, dept::str(dropout.first_token.back(), " rows, as the dropout has"), dept::str(rows));
}

/// The type of residuals and statistics beside branches of this one.
inline at::ScalarType arithmetic_type(at::ScalarType branch) {
  return branch == at::kDouble ? at::kDouble : at::kFloat;
}

inline void expect_on(at::Device device, const at::Tensor& x, std::string_view where) {
  if (x.device() != device) fail(Code::bug, where, dept::str("all tensors on ", device), dept::str("one on ", x.device()));
}

/// The device of all these tensors; undefined ones have none. Throws bug where they differ.
template <class... Tensors>
at::Device common_device(std::string_view where, const at::Tensor& first, const Tensors&... more) {
  const at::Device device = first.device();
  const auto check = [&](const at::Tensor& x) {
    if (x.defined()) expect_on(device, x, where);
  };
  (check(more), ...);
  return device;
}

}  // namespace dept::kernels
