// A frozen bf16 linear layer over packed products, with the operations around it in a model done tile by tile.
#pragma once

#include <ATen/core/Tensor.h>

#include <mutex>

#include "dept/kernels/dropout.h"
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

/// x bf16 [N, k] -> x B + bias, bf16 [N, n]; bias bf16 [n] or undefined.
at::Tensor packed_product(const at::Tensor& x, const PackedMatrix& b, const at::Tensor& bias);
/// The same into out bf16 [N, n], rows any distance apart.
void packed_product_into(const at::Tensor& x, const PackedMatrix& b, const at::Tensor& bias, at::Tensor out);
/// h + dropout(x B + bias), fp32 [N, n]; in h's memory where the caller moves it in and nobody else holds it.
at::Tensor packed_add(at::Tensor h, const at::Tensor& x, const PackedMatrix& b, const at::Tensor& bias, const Dropout& dropout);
/// dropout(relu(x B + bias)), bf16 [N, n]; `kept` (not null) as relu_dropout's.
at::Tensor packed_relu(const at::Tensor& x, const PackedMatrix& b, const at::Tensor& bias, const Dropout& dropout,
                       at::Tensor* kept);
/// x B times `scale` where `kept` says so, else 0; bf16 [N, n].
at::Tensor packed_relu_backward(const at::Tensor& x, const PackedMatrix& b, double scale, const at::Tensor& kept);
/// x B in fp32, transposed: for x bf16 [n, k] and a plain table bf16 [V, k], table x^T -> fp32 [n, V].
at::Tensor table_product(const at::Tensor& table, const at::Tensor& x);

}  // namespace dept::kernels
