// A frozen linear layer in bf16 over packed products, with the operations around it in a model done tile by tile.
#pragma once

#include <ATen/core/Tensor.h>

#include <mutex>

#include "dept/kernels/dropout.h"
#include "dept/kernels/frozen_linear.h"
#include "kernels/cpu/packed_matrix.h"

namespace dept::kernels {

/// The weight bf16 [out, in], packed at once for the forward direction and for the other when that is first needed.
/// out and in are multiples of 32.
class PackedLinear {
 public:
  explicit PackedLinear(const at::Tensor& weight) : forward_(pack_transposed(weight)) {}
  /// B = W^T, in whole numbers.
  explicit PackedLinear(PackedMatrix forward) : forward_(std::move(forward)) {}

  int64_t out() const { return forward_.n; }
  int64_t in() const { return forward_.k; }
  /// B = W^T
  const PackedMatrix& forward() const { return forward_; }
  /// B = W
  const PackedMatrix& backward();
  /// [out, in], made anew.
  at::Tensor weight() const { return unpacked(forward_); }

 private:
  PackedMatrix forward_, backward_;
  std::once_flag backward_once_;
};

// Activations and biases are bf16.

/// x [N, k] -> x B + bias [N, n]; bias [n] or undefined. `then` (may be null) as FrozenLinear has it.
at::Tensor packed_product(const at::Tensor& x, const PackedMatrix& b, const at::Tensor& bias, RowsDone then = {});
/// The same into out [N, n], rows any distance apart.
void packed_product_into(const at::Tensor& x, const PackedMatrix& b, const at::Tensor& bias, at::Tensor out, RowsDone then = {});
/// h + dropout(x B + bias), fp32 [N, n]; in h's memory where the caller moves it in and nobody else holds it.
at::Tensor packed_add(at::Tensor h, const at::Tensor& x, const PackedMatrix& b, const at::Tensor& bias, const Dropout& dropout,
                      RowsDone then = {});
/// Units of x B + bias, [N, n], gated [N, n / 2], n a multiple of 64. `kept` (not null) receives what
/// packed_units_backward needs: of ReLU a bit a unit as relu_dropout's, of other activations their slopes, a byte each
/// (unit_rows.h), of gated ones bf16 [N, n], the factors of the gate's and of the other half's gradient.
at::Tensor packed_units(const at::Tensor& x, const PackedMatrix& b, const at::Tensor& bias, const Units& units,
                        const Dropout& dropout, at::Tensor* kept);
/// x B, the gradient of units, through them: [N, n], gated [N, 2n].
at::Tensor packed_units_backward(const at::Tensor& x, const PackedMatrix& b, const Units& units, const Dropout& dropout,
                                 const at::Tensor& kept);
/// x B in fp32, transposed: for x bf16 [n, k] and a plain table bf16 [V, k], table x^T -> fp32 [n, V].
at::Tensor table_product(const at::Tensor& table, const at::Tensor& x);

}  // namespace dept::kernels
