// A frozen linear layer: y = x W^T + b. FrozenMatrix hides how W is stored; W never gets a gradient.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string_view>

#include "dept/kernels/activation.h"
#include "dept/kernels/dropout.h"
#include "dept/kernels/frozen_matrix.h"
#include "dept/kernels/rows_done.h"

namespace dept::kernels {

class PackedLinear;

/// What a trained delta at a linear adds (LoRA, BitFit). None exists yet; FrozenLinear keeps the place.
class LinearDelta {
 public:
  virtual ~LinearDelta() = default;
  virtual void add_forward(const at::Tensor& x, at::Tensor& y) const = 0;
  virtual void add_backward_input(const at::Tensor& dy, at::Tensor& dx) const = 0;
};

/// Rows of a weight that belong to heads: `width` of each from row `first` on.
struct HeadRows {
  int64_t first, heads, width;
};

/// What a feed-forward block makes of a linear layer's output y: dropout(f(y)), or gated, y being gates and as many others behind
/// them, dropout(f(gate) * other).
struct Units {
  Activation activation = Activation::relu;
  bool gated = false;
};

class FrozenLinear {
 public:
  FrozenLinear() = default;
  /// weight [out, in], kept once for both directions, or packed for each where the CPU multiplies bf16; bias [out] in the type it
  /// is used in, or undefined.
  explicit FrozenLinear(FrozenMatrix weight, at::Tensor bias = {});
  /// Held rounded to 8 bits, a scale a row, and multiplied as whole numbers; used in bf16. weight [out, in] of any type, both
  /// multiples of 32. Throws usage where the CPU cannot.
  static FrozenLinear int8(const at::Tensor& weight, at::Tensor bias = {});

  /// x [N, in] of dtype() -> [N, out]. Throws bug for another shape or dtype.
  at::Tensor forward(const at::Tensor& x) const;
  /// dy [N, out] -> dx = dy W [N, in].
  at::Tensor backward_input(const at::Tensor& dy) const;

  // Both with the operations around them in a block, which cost no pass of their own where the weight is packed (`fuses`).

  /// h + dropout(forward(x)): h fp32 (fp64) [N, out]. In h's own memory where the caller moves it in and nobody else holds it; an
  /// x that is moved in gives its memory back before the sum takes more.
  at::Tensor add_forward(at::Tensor h, at::Tensor x, const Dropout& dropout) const {
    return add_forward(std::move(h), std::move(x), dropout, {});
  }

  // Only of a layer that fuses.

  /// Whether products take along what follows them; of units, whether both of the block's layers do.
  bool fuses() const { return packed_ != nullptr && delta == nullptr; }
  bool fuses(const Units& units, const FrozenLinear& behind) const;
  at::Tensor add_forward(at::Tensor h, at::Tensor x, const Dropout& dropout, RowsDone then) const;
  /// backward_input, and d + backward_input(dy): d fp32 [N, in], as add_forward's h.
  at::Tensor backward_input(const at::Tensor& dy, RowsDone then) const;
  at::Tensor add_backward_input(at::Tensor d, const at::Tensor& dy, RowsDone then) const;
  /// The units of forward(x), [N, out], gated [N, out / 2]; `kept` (not null) is what backward_units of the layer behind needs.
  at::Tensor forward_units(const at::Tensor& x, const Units& units, const Dropout& dropout, at::Tensor* kept) const;
  /// The gradient of what the units were made of, from dy [N, out] of this layer, which takes the units.
  at::Tensor backward_units(const at::Tensor& dy, const Units& units, const Dropout& dropout, const at::Tensor& kept) const;

  // Each head by itself, without bias, as absorbed attention needs it; not of a weight in whole numbers.

  /// x [N, heads * in] -> [N, heads * width]: head h times the transpose of its rows of W.
  at::Tensor forward_heads(const at::Tensor& x, HeadRows rows) const;
  /// x [N, heads * width] -> [N, heads * in]: head h times its rows of W.
  at::Tensor backward_heads(const at::Tensor& x, HeadRows rows) const;

  int64_t in() const;
  int64_t out() const;
  /// [out, in] in dtype(); a copy unless it is held so.
  at::Tensor weight() const;
  at::ScalarType dtype() const { return weight_.dtype(); }
  at::Device device() const { return weight_.device(); }
  Kernels kernels() const { return weight_.kernels(); }

  const LinearDelta* delta = nullptr;

 private:
  void check(const at::Tensor& x, int64_t columns, std::string_view where) const;
  void check_fused(const at::Tensor& x, int64_t columns, const Dropout& dropout, std::string_view where) const;
  bool packs_heads(HeadRows rows) const;
  at::Tensor head_weights(HeadRows rows) const;

  FrozenMatrix weight_;                   // empty but for its type where it is packed
  std::shared_ptr<PackedLinear> packed_;  // shared by copies of this layer
  at::Tensor bias_;
};

}  // namespace dept::kernels
