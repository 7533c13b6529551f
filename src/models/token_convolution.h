// A convolution along the tokens of each sequence beside a block of an encoder: norm(y + activation(dropout(W * x + b))).
#pragma once

#include <ATen/core/Tensor.h>

#include "dept/kernels/activation.h"
#include "dept/nn/modules.h"

namespace dept {

struct TokenConvolution {
  kernels::FrozenLinear linear;  ///< [D, width D], of the neighbours from left to right
  nn::LayerNorm norm;
  int64_t width = 0;  ///< an odd number of tokens; those beyond a sequence's ends are 0
  kernels::Activation activation = kernels::Activation::gelu;

  struct Saved {
    at::Tensor inner;  ///< behind the dropout
    nn::LayerNorm::Saved norm;
  };
  /// x and y residual [N, D] -> [N, D]
  at::Tensor forward(const at::Tensor& x, const at::Tensor& y, const Ragged& tokens, const kernels::Dropout& dropout,
                     Saved* saved) const;
  /// d residual [N, D], of what forward gave: returns the gradient of y, and adds that of x to dx.
  at::Tensor backward(const at::Tensor& d, const Ragged& tokens, const kernels::Dropout& dropout, const Saved& saved,
                      at::Tensor& dx) const;
};

}  // namespace dept
