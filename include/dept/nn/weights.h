// Where frozen modules get their weights from: a file, or random numbers for benchmarks.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>

namespace dept::nn {

/// The tensor `name` with exactly `shape`, contiguous, as `dtype`. Throws bad_input when the source has no such tensor.
using WeightLoader = std::function<at::Tensor(const std::string& name, at::IntArrayRef shape, at::ScalarType dtype)>;

}  // namespace dept::nn
