#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/cpu/simd.h"
#include "kernels/operators.h"

namespace dept::kernels::cpu {
namespace {

template <class T>
DEPT_INLINE T sigmoid(T x) {
  return T(1) / (T(1) + exponential(-x));
}

/// The standard normal's distribution function. fp32: Abramowitz & Stegun, Handbook of Mathematical Functions, 7.1.26
/// (erf to 1.5e-7), which vectorises.
DEPT_INLINE float normal_cdf(float x) {
  const float z = 0.70710678F * (x < 0 ? -x : x), t = 1.0F / (1.0F + 0.3275911F * z);
  const float polynomial = t * (0.254829592F + t * (-0.284496736F + t * (1.421413741F + t * (-1.453152027F + t * 1.061405429F))));
  const float tail = 0.5F * polynomial * exponential(-z * z);
  return x < 0 ? tail : 1.0F - tail;
}
DEPT_INLINE double normal_cdf(double x) {
  return 0.5 * std::erfc(-x * 0.70710678118654752440);
}

// What an activation is: value(x) and slope(x), its derivative, of a float or a double.
struct Relu {
  static DEPT_INLINE auto value(auto x) { return x > 0 ? x : decltype(x)(0); }
  static DEPT_INLINE auto slope(auto x) { return x > 0 ? decltype(x)(1) : decltype(x)(0); }
};

struct Gelu {
  static DEPT_INLINE auto value(auto x) { return x * normal_cdf(x); }
  static DEPT_INLINE auto slope(auto x) {
    using T = decltype(x);
    return normal_cdf(x) + x * T(0.39894228040143267794) * exponential(T(-0.5) * x * x);
  }
};

// 0.5 (1 + tanh(u)) = sigmoid(2 u), 2 u = linear x + cubic x^3
struct GeluNew {
  static constexpr double linear = 1.59576912160573071176, cubic = linear * 0.044715;  // linear = 2 sqrt(2 / pi)
  static DEPT_INLINE auto gate(auto x) {
    using T = decltype(x);
    return sigmoid(x * (T(linear) + T(cubic) * x * x));
  }
  static DEPT_INLINE auto value(auto x) { return x * gate(x); }
  static DEPT_INLINE auto slope(auto x) {
    using T = decltype(x);
    const T s = gate(x);
    return s + x * s * (T(1) - s) * (T(linear) + T(3 * cubic) * x * x);
  }
};

struct Silu {
  static DEPT_INLINE auto value(auto x) { return x * sigmoid(x); }
  static DEPT_INLINE auto slope(auto x) {
    using T = decltype(x);
    const T s = sigmoid(x);
    return s * (T(1) + x * (T(1) - s));
  }
};

// What dropout multiplies an element of a row with. numbers null: no dropout.
template <class T>
struct Mask {
  const uint16_t* numbers;
  uint32_t threshold;
  T scale;
  DEPT_INLINE bool kept(int64_t i) const { return numbers == nullptr || numbers[i] >= threshold; }
  DEPT_INLINE T operator[](int64_t i) const { return kept(i) ? scale : T(0); }
};

template <class F, class C, class T>
DEPT_INLINE void activation_row(const C* x, Mask<T> mask, C* out, int64_t f) {
#pragma omp simd
  for (int64_t i = 0; i < f; ++i) store(out[i], mask[i] * F::value(load(x[i])));
}

template <class F, class C, class T>
DEPT_INLINE void activation_backward_row(const C* d, const C* x, Mask<T> mask, C* out, int64_t f) {
#pragma omp simd
  for (int64_t i = 0; i < f; ++i) store(out[i], mask[i] * load(d[i]) * F::slope(load(x[i])));
}

// gate_up [2 f]: the gate's units, then the others.
template <class F, class C, class T>
DEPT_INLINE void gated_row(const C* gate_up, Mask<T> mask, C* out, int64_t f) {
  const C *gate = gate_up, *up = gate_up + f;
#pragma omp simd
  for (int64_t i = 0; i < f; ++i) store(out[i], mask[i] * F::value(load(gate[i])) * load(up[i]));
}

template <class F, class C, class T>
DEPT_INLINE void gated_backward_row(const C* d, const C* gate_up, Mask<T> mask, C* d_gate_up, int64_t f) {
  const C *gate = gate_up, *up = gate_up + f;
  C *d_gate = d_gate_up, *d_up = d_gate_up + f;
#pragma omp simd
  for (int64_t i = 0; i < f; ++i) {
    const T g = load(gate[i]), dy = mask[i] * load(d[i]);
    store(d_up[i], dy * F::value(g));
    store(d_gate[i], dy * load(up[i]) * F::slope(g));
  }
}

// x = dropout(relu(x)); flags: 1 where kept.
template <class C, class T>
DEPT_INLINE void relu_row(C* x, Mask<T> mask, uint8_t* flags, int64_t f) {
#pragma omp simd
  for (int64_t i = 0; i < f; ++i) {
    const T value = load(x[i]);
    const bool kept = value > 0 && mask.kept(i);
    flags[i] = kept;
    store(x[i], kept ? value * mask.scale : T(0));
  }
}

template <class C, class T>
DEPT_INLINE void relu_backward_row(C* d, const uint8_t* flags, T scale, int64_t f) {
#pragma omp simd
  for (int64_t i = 0; i < f; ++i) store(d[i], flags[i] != 0 ? load(d[i]) * scale : T(0));
}

/// Calls row(F{}) with the formulas of an activation.
template <class Row>
DEPT_INLINE void with_formula(Activation f, Row&& row) {
  switch (f) {
    case Activation::relu:
      return row(Relu{});
    case Activation::gelu:
      return row(Gelu{});
    case Activation::gelu_new:
      return row(GeluNew{});
    case Activation::silu:
      return row(Silu{});
  }
}

#define DEPT_ACTIVATIONS(C, T)                                                                                              \
  DEPT_CLONES void activation_rows(Activation a, const C* x, Mask<T> mask, C* out, int64_t f) {                             \
    with_formula(                                                                                                           \
        a, [&]<class F>(F) __attribute__((always_inline)) { activation_row<F>(x, mask, out, f); });                         \
  }                                                                                                                         \
  DEPT_CLONES void activation_backward_rows(Activation a, const C* d, const C* x, Mask<T> mask, C* out, int64_t f) {        \
    with_formula(                                                                                                           \
        a, [&]<class F>(F) __attribute__((always_inline)) { activation_backward_row<F>(d, x, mask, out, f); });             \
  }                                                                                                                         \
  DEPT_CLONES void gated_rows(Activation a, const C* gate_up, Mask<T> mask, C* out, int64_t f) {                            \
    with_formula(                                                                                                           \
        a, [&]<class F>(F) __attribute__((always_inline)) { gated_row<F>(gate_up, mask, out, f); });                        \
  }                                                                                                                         \
  DEPT_CLONES void gated_backward_rows(Activation a, const C* d, const C* gate_up, Mask<T> mask, C* d_gate_up, int64_t f) { \
    with_formula(                                                                                                           \
        a, [&]<class F>(F) __attribute__((always_inline)) { gated_backward_row<F>(d, gate_up, mask, d_gate_up, f); });      \
  }                                                                                                                         \
  DEPT_CLONES void relu_rows(C* x, Mask<T> mask, uint8_t* flags, int64_t f) {                                               \
    relu_row(x, mask, flags, f);                                                                                            \
  }                                                                                                                         \
  DEPT_CLONES void relu_backward_rows(C* d, const uint8_t* flags, T scale, int64_t f) {                                     \
    relu_backward_row(d, flags, scale, f);                                                                                  \
  }
DEPT_ACTIVATIONS(float, float)
DEPT_ACTIVATIONS(c10::BFloat16, float)
DEPT_ACTIVATIONS(double, double)
#undef DEPT_ACTIVATIONS

void pack_bits(const uint8_t* flags, int64_t f, uint8_t* bits) {
  for (int64_t byte = 0; byte * 8 < f; ++byte) {
    uint8_t packed = 0;
    for (int64_t i = byte * 8; i < std::min(f, byte * 8 + 8); ++i) packed |= static_cast<uint8_t>(flags[i] << (i % 8));
    bits[byte] = packed;
  }
}

void unpack_bits(const uint8_t* bits, int64_t f, uint8_t* flags) {
  for (int64_t i = 0; i < f; ++i) flags[i] = bits[i / 8] >> (i % 8) & 1;
}

double kept_scale(const Dropout& dropout) {
  return dropout ? dropout_scale(dropout.p) : 1.0;
}

/// Calls row(n, mask of that row) for all rows of [N, F], on several threads.
template <class T, class Row>
void for_rows(int64_t n, int64_t f, const Dropout& dropout, Row&& row) {
  at::parallel_for(0, n, row_grain(f), [&](int64_t begin, int64_t end) {
    std::vector<uint16_t> numbers(dropout ? f : 0);
    const Mask<T> mask{dropout ? numbers.data() : nullptr, dropout_threshold(dropout.p), static_cast<T>(kept_scale(dropout))};
    int64_t b = 0;
    for (int64_t i = begin; i < end; ++i) {
      if (dropout) {
        while (i >= dropout.first_token[b + 1]) ++b;
        dropout_numbers(dropout.streams[b], static_cast<uint64_t>(dropout.token(b, i) * f), f, numbers.data());
      }
      row(i, mask);
    }
  });
}

}  // namespace

at::Tensor activation(Activation f, const at::Tensor& x, const Dropout& dropout) {
  const int64_t n = x.size(0), units = x.size(1);
  at::Tensor out = at::empty_like(x);
  dispatch(x.scalar_type(), "activation", [&]<class C>(C) {
    const C* in = x.const_data_ptr<C>();
    C* to = out.mutable_data_ptr<C>();
    for_rows<arithmetic_t<C>>(n, units, dropout,
                              [&](int64_t i, auto mask) { activation_rows(f, in + i * units, mask, to + i * units, units); });
  });
  return out;
}

at::Tensor activation_backward(Activation f, const at::Tensor& d, const at::Tensor& x, const Dropout& dropout) {
  const int64_t n = x.size(0), units = x.size(1);
  at::Tensor out = at::empty_like(x);
  dispatch(x.scalar_type(), "activation_backward", [&]<class C>(C) {
    const C *in = x.const_data_ptr<C>(), *dy = d.const_data_ptr<C>();
    C* to = out.mutable_data_ptr<C>();
    for_rows<arithmetic_t<C>>(n, units, dropout, [&](int64_t i, auto mask) {
      activation_backward_rows(f, dy + i * units, in + i * units, mask, to + i * units, units);
    });
  });
  return out;
}

at::Tensor gated_activation(Activation f, const at::Tensor& gate_up, const Dropout& dropout) {
  const int64_t n = gate_up.size(0), units = gate_up.size(1) / 2;
  at::Tensor out = at::empty({n, units}, gate_up.options());
  dispatch(gate_up.scalar_type(), "gated_activation", [&]<class C>(C) {
    const C* in = gate_up.const_data_ptr<C>();
    C* to = out.mutable_data_ptr<C>();
    for_rows<arithmetic_t<C>>(n, units, dropout,
                              [&](int64_t i, auto mask) { gated_rows(f, in + 2 * i * units, mask, to + i * units, units); });
  });
  return out;
}

at::Tensor gated_activation_backward(Activation f, const at::Tensor& d, const at::Tensor& gate_up, const Dropout& dropout) {
  const int64_t n = gate_up.size(0), units = gate_up.size(1) / 2;
  at::Tensor out = at::empty_like(gate_up);
  dispatch(gate_up.scalar_type(), "gated_activation_backward", [&]<class C>(C) {
    const C *in = gate_up.const_data_ptr<C>(), *dy = d.const_data_ptr<C>();
    C* to = out.mutable_data_ptr<C>();
    for_rows<arithmetic_t<C>>(n, units, dropout, [&](int64_t i, auto mask) {
      gated_backward_rows(f, dy + i * units, in + 2 * i * units, mask, to + 2 * i * units, units);
    });
  });
  return out;
}

void relu_dropout(at::Tensor& x, const Dropout& dropout, at::Tensor* kept) {
  const int64_t n = x.size(0), f = x.size(1), bytes = (f + 7) / 8;
  if (kept != nullptr) *kept = at::empty({n, bytes}, x.options().dtype(at::kByte));
  dispatch(x.scalar_type(), "relu_dropout", [&]<class C>(C) {
    C* data = x.mutable_data_ptr<C>();
    uint8_t* bits = kept != nullptr ? kept->mutable_data_ptr<uint8_t>() : nullptr;
    for_rows<arithmetic_t<C>>(n, f, dropout, [&](int64_t i, auto mask) {
      thread_local std::vector<uint8_t> flags;
      flags.resize(f);
      relu_rows(data + i * f, mask, flags.data(), f);
      if (bits != nullptr) pack_bits(flags.data(), f, bits + i * bytes);
    });
  });
}

void relu_dropout_backward(at::Tensor& d, const Dropout& dropout, const at::Tensor& kept) {
  const int64_t n = d.size(0), f = d.size(1), bytes = kept.size(1);
  dispatch(d.scalar_type(), "relu_dropout_backward", [&]<class C>(C) {
    C* data = d.mutable_data_ptr<C>();
    const uint8_t* bits = kept.const_data_ptr<uint8_t>();
    const auto scale = static_cast<arithmetic_t<C>>(kept_scale(dropout));
    at::parallel_for(0, n, row_grain(f), [&](int64_t begin, int64_t end) {
      std::vector<uint8_t> flags(f);
      for (int64_t i = begin; i < end; ++i) {
        unpack_bits(bits + i * bytes, f, flags.data());
        relu_backward_rows(data + i * f, flags.data(), scale, f);
      }
    });
  });
}

}  // namespace dept::kernels::cpu
