// A frozen linear layer: y = x W^T + b. Hides how W is stored behind forward and backward_input; W never gets a gradient.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

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
  /// weight [out, in] in its storage type (fp32, bf16, fp64), kept once for both directions; bias [out] or undefined.
  explicit FrozenLinear(at::Tensor weight, at::Tensor bias = {});

  /// x [N, in] of weight's dtype -> [N, out]. Throws bug for another shape or dtype.
  at::Tensor forward(const at::Tensor& x) const;
  /// dy [N, out] -> dx = dy W [N, in].
  at::Tensor backward_input(const at::Tensor& dy) const;

  int64_t in() const { return weight_.size(1); }
  int64_t out() const { return weight_.size(0); }
  at::ScalarType dtype() const { return weight_.scalar_type(); }
  const at::Tensor& weight() const { return weight_; }

  const LinearDelta* delta = nullptr;

 private:
  at::Tensor weight_, bias_;
};

}  // namespace dept::kernels
