#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/gelu_backward.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/silu_backward.h>
#include <ATen/ops/threshold_backward.h>

#include "kernels/check.h"
#include "kernels/operators.h"
#include "kernels/plain/philox.h"

namespace dept::kernels::plain {
namespace {

at::Tensor value(Activation f, const at::Tensor& x) {
  switch (f) {
    case Activation::relu:
      return at::relu(x);
    case Activation::gelu:
      return at::gelu(x);
    case Activation::gelu_new:
      return at::gelu(x, "tanh");
    case Activation::silu:
      return at::silu(x);
  }
  fail(Code::bug, "activation", "relu, gelu, gelu_new or silu", dept::str(static_cast<int>(f)));
}

// d f'(x)
at::Tensor gradient(Activation f, const at::Tensor& d, const at::Tensor& x) {
  switch (f) {
    case Activation::relu:
      return at::threshold_backward(d, x, 0);
    case Activation::gelu:
      return at::gelu_backward(d, x);
    case Activation::gelu_new:
      return at::gelu_backward(d, x, "tanh");
    case Activation::silu:
      return at::silu_backward(d, x);
  }
  fail(Code::bug, "activation_backward", "relu, gelu, gelu_new or silu", dept::str(static_cast<int>(f)));
}

at::Tensor widened(const at::Tensor& x) {
  return x.to(arithmetic_type(x.scalar_type()));
}

constexpr int64_t byte = 8;

at::Tensor bit_places(at::Device device) {
  return at::arange(byte, at::TensorOptions(at::kLong).device(device));
}

// bool [N, F] -> uint8 [N, ceil(F / 8)]
at::Tensor pack_bits(const at::Tensor& flags) {
  const int64_t n = flags.size(0), f = flags.size(1), bytes = (f + byte - 1) / byte;
  const at::Tensor padded = at::constant_pad_nd(flags.to(at::kLong), {0, bytes * byte - f});
  return padded.view({n, bytes, byte}).bitwise_left_shift(bit_places(flags.device())).sum(2).to(at::kByte);
}

// uint8 [N, ceil(F / 8)] -> bool [N, F]
at::Tensor unpack_bits(const at::Tensor& bits, int64_t f) {
  const at::Tensor places = bits.to(at::kLong).unsqueeze(2).bitwise_right_shift(bit_places(bits.device()));
  return places.bitwise_and(1).to(at::kBool).flatten(1).narrow(1, 0, f);
}

}  // namespace

at::Tensor activation(Activation f, const at::Tensor& x, const Dropout& dropout) {
  return Mask(dropout, x.size(1), x.device())(value(f, widened(x))).to(x.scalar_type());
}

at::Tensor activation_backward(Activation f, const at::Tensor& d, const at::Tensor& x, const Dropout& dropout) {
  const Mask mask(dropout, x.size(1), x.device());
  return gradient(f, mask(widened(d)), widened(x)).to(x.scalar_type());
}

at::Tensor gated_activation(Activation f, const at::Tensor& gate_up, const Dropout& dropout) {
  const int64_t units = gate_up.size(1) / 2;
  const at::Tensor wide = widened(gate_up), gate = wide.narrow(1, 0, units), up = wide.narrow(1, units, units);
  return Mask(dropout, units, gate_up.device())(value(f, gate) * up).to(gate_up.scalar_type());
}

at::Tensor gated_activation_backward(Activation f, const at::Tensor& d, const at::Tensor& gate_up, const Dropout& dropout) {
  const int64_t units = gate_up.size(1) / 2;
  const at::Tensor wide = widened(gate_up), gate = wide.narrow(1, 0, units), up = wide.narrow(1, units, units);
  const at::Tensor masked = Mask(dropout, units, gate_up.device())(widened(d));
  return at::cat({gradient(f, masked * up, gate), masked * value(f, gate)}, 1).to(gate_up.scalar_type());
}

void relu_dropout(at::Tensor& x, const Dropout& dropout, at::Tensor* kept) {
  const at::Tensor wide = widened(x);
  Mask mask(dropout, x.size(1), x.device());
  mask.kept = mask.kept.defined() ? mask.kept.logical_and(wide.gt(0)) : wide.gt(0);
  x.copy_(mask(wide));
  if (kept != nullptr) *kept = pack_bits(mask.kept);
}

void relu_dropout_backward(at::Tensor& d, const Dropout& dropout, const at::Tensor& kept) {
  const Mask mask(unpack_bits(kept, d.size(1)), dropout ? dropout_scale(dropout.p) : 1);
  d.copy_(mask(widened(d)));
}

}  // namespace dept::kernels::plain
