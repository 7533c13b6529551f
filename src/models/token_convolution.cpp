#include "models/token_convolution.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>

#include <vector>

#include "dept/tensor/upload.h"

namespace dept {
namespace {

// Of each token the row that stands `shift` behind it in its sequence; N, where there is none.
at::Tensor shifted_rows(const Ragged& tokens, int64_t shift, at::Device device) {
  std::vector<int64_t> rows;
  for (int64_t b = 0; b < tokens.batch(); ++b)
    for (int64_t n = tokens.offsets[b]; n < tokens.offsets[b + 1]; ++n) {
      const bool inside = n + shift >= tokens.offsets[b] && n + shift < tokens.offsets[b + 1];
      rows.push_back(inside ? n + shift : tokens.tokens());
    }
  return upload(rows, device);
}

at::Tensor with_zero_row(const at::Tensor& x) {
  return at::cat({x, at::zeros({1, x.size(1)}, x.options())});
}

}  // namespace

at::Tensor TokenConvolution::forward(const at::Tensor& x, const at::Tensor& y, const Ragged& tokens,
                                     const kernels::Dropout& dropout, Saved* saved) const {
  const at::Tensor padded = with_zero_row(x.to(linear.dtype()));
  std::vector<at::Tensor> neighbours;
  for (int64_t shift = -(width / 2); shift <= width / 2; ++shift)
    neighbours.push_back(padded.index_select(0, shifted_rows(tokens, shift, x.device())));
  const at::Tensor inner = kernels::apply_dropout(linear.forward(at::cat(neighbours, 1)), dropout, linear.kernels());
  const at::Tensor out = kernels::activation(activation, inner, {}, linear.kernels());
  if (saved) saved->inner = inner;
  return norm.forward(y + out, y.scalar_type(), saved ? &saved->norm : nullptr);
}

at::Tensor TokenConvolution::backward(const at::Tensor& d, const Ragged& tokens, const kernels::Dropout& dropout,
                                      const Saved& saved, at::Tensor& dx) const {
  const at::Tensor dy = norm.backward(d, saved.norm);
  at::Tensor inner = kernels::activation_backward(activation, dy.to(linear.dtype()), saved.inner, {}, linear.kernels());
  inner = linear.backward_input(kernels::apply_dropout(inner, dropout, linear.kernels()));
  for (int64_t i = 0; i < width; ++i) {
    const at::Tensor of_neighbour = with_zero_row(inner.narrow(1, i * d.size(1), d.size(1)));
    dx.add_(of_neighbour.index_select(0, shifted_rows(tokens, width / 2 - i, d.device())));
  }
  return dy;
}

}  // namespace dept
