// Where frozen modules get their weights from: a file, or random numbers for benchmarks.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "dept/kernels/frozen_linear.h"
#include "dept/tensor/context.h"

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
  bool transposed = false;     ///< stored as [in, out], as GPT-2's Conv1D is
  int64_t heads_of_three = 0;  ///< > 0: the rows stand head by head, each its Q, K and V (GPT-NeoX), and become all Q, K, V
  bool by_head = false;        ///< FrozenLinear.forward_heads is asked of it: not held in whole numbers
};

class WeightLoader {
 public:
  /// The matrix `name` with exactly `shape` in its file's own storage.
  using ReadStored = std::function<kernels::StoredRows(const std::string& name, at::IntArrayRef shape)>;
  /// The tensor `name` with exactly `shape`, contiguous, as `dtype`. Throws bad_input when the file has no tensor of this name.
  using Read = std::function<at::Tensor(const std::string& name, at::IntArrayRef shape, at::ScalarType dtype)>;

  WeightLoader() = default;
  /// Without `stored` the file has no storage of its own, and Storage::gguf is refused.
  explicit WeightLoader(Read read, ReadStored stored = {}) : read_(std::move(read)), stored_(std::move(stored)) {}

  /// How matrices are held, on which device, and what modules over them compute with, from now on. Throws usage for a storage
  /// that the file does not have, or that is not to be had on the device.
  void use(const ModelContext& context);
  Kernels kernels() const { return kernels_; }

  at::Tensor operator()(const std::string& name, at::IntArrayRef shape, at::ScalarType dtype) const {
    return read_(name, shape, dtype).to(device_);
  }
  /// A frozen matrix, used in `dtype`.
  kernels::FrozenMatrix matrix(const std::string& name, at::IntArrayRef shape, at::ScalarType dtype) const;
  /// A frozen linear that computes in `dtype`.
  kernels::FrozenLinear linear(const LinearSpec& spec, at::ScalarType dtype) const;

 private:
  at::ScalarType held_type(at::ScalarType dtype) const;

  Read read_;
  ReadStored stored_;
  Storage storage_ = Storage::same;
  Kernels kernels_ = Kernels::own;
  at::Device device_ = at::kCPU;
};

}  // namespace dept::nn
