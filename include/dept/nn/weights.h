// Where frozen modules get their weights from: a file, or random numbers for benchmarks.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "dept/kernels/frozen_linear.h"

namespace dept::nn {

/// Linear layers over one input as one: the rows of each NAME.weight (and NAME.bias), stacked in this order.
struct LinearSpec {
  struct Part {
    std::string name;  ///< without ".weight"
    int64_t out;
  };
  std::vector<Part> parts;
  int64_t in;
  bool bias = false;
  bool transposed = false;  ///< stored as [in, out], as GPT-2's Conv1D is
};

class WeightLoader {
 public:
  /// The tensor `name` with exactly `shape`, contiguous, as `dtype`. Throws bad_input when there is no such tensor.
  using Read = std::function<at::Tensor(const std::string& name, at::IntArrayRef shape, at::ScalarType dtype)>;

  WeightLoader() = default;
  explicit WeightLoader(Read read) : read_(std::move(read)) {}

  at::Tensor operator()(const std::string& name, at::IntArrayRef shape, at::ScalarType dtype) const {
    return read_(name, shape, dtype);
  }
  /// A frozen linear that computes in `dtype`.
  kernels::FrozenLinear linear(const LinearSpec& spec, at::ScalarType dtype) const;

 private:
  Read read_;
};

}  // namespace dept::nn
