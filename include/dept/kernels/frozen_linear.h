// A frozen linear layer: y = x W^T + b. FrozenMatrix hides how W is stored; W never gets a gradient.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "dept/kernels/frozen_matrix.h"

namespace dept::kernels {

/// What a trained delta at a linear adds (LoRA, BitFit). None exists yet; FrozenLinear keeps the place.
class LinearDelta {
 public:
  virtual ~LinearDelta() = default;
  virtual void add_forward(const at::Tensor& x, at::Tensor& y) const = 0;
  virtual void add_backward_input(const at::Tensor& dy, at::Tensor& dx) const = 0;
};

class FrozenLinear {
 public:
  FrozenLinear() = default;
  /// weight [out, in], kept once for both directions; bias [out] in the type it is used in, or undefined.
  explicit FrozenLinear(FrozenMatrix weight, at::Tensor bias = {});

  /// x [N, in] of dtype() -> [N, out]. Throws bug for another shape or dtype.
  at::Tensor forward(const at::Tensor& x) const;
  /// dy [N, out] -> dx = dy W [N, in].
  at::Tensor backward_input(const at::Tensor& dy) const;

  int64_t in() const { return weight_.columns(); }
  int64_t out() const { return weight_.rows(); }
  /// [out, in] in dtype().
  at::Tensor weight() const { return weight_.dense(); }
  at::ScalarType dtype() const { return weight_.dtype(); }

  const LinearDelta* delta = nullptr;

 private:
  FrozenMatrix weight_;
  at::Tensor bias_;
};

}  // namespace dept::kernels
