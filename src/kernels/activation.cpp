#include "dept/kernels/activation.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/simd.h"

namespace dept::kernels {
namespace {

template <class C>
DEPT_INLINE void swiglu_row(const C* gate, const C* up, C* out, int64_t f) {
  using T = arithmetic_t<C>;
#pragma omp simd
  for (int64_t i = 0; i < f; ++i) {
    const T g = load(gate[i]);
    store(out[i], g / (T(1) + exponential(-g)) * load(up[i]));
  }
}

template <class C>
DEPT_INLINE void swiglu_backward_row(const C* d, const C* gate, const C* up, C* d_gate, C* d_up, int64_t f) {
  using T = arithmetic_t<C>;
#pragma omp simd
  for (int64_t i = 0; i < f; ++i) {
    const T g = load(gate[i]), u = load(up[i]), dy = load(d[i]);
    const T sigmoid = T(1) / (T(1) + exponential(-g));
    store(d_up[i], dy * g * sigmoid);
    store(d_gate[i], dy * u * sigmoid * (T(1) + g * (T(1) - sigmoid)));
  }
}

// x = dropout(relu(x)); flags: 1 where kept. numbers null: no dropout.
template <class C>
DEPT_INLINE void relu_row(C* x, const uint16_t* numbers, uint32_t threshold, arithmetic_t<C> scale, uint8_t* flags, int64_t f) {
  using T = arithmetic_t<C>;
#pragma omp simd
  for (int64_t i = 0; i < f; ++i) {
    const T value = load(x[i]);
    const bool kept = value > 0 && (numbers == nullptr || numbers[i] >= threshold);
    flags[i] = kept;
    store(x[i], kept ? value * scale : T(0));
  }
}

template <class C>
DEPT_INLINE void relu_backward_row(C* d, const uint8_t* flags, arithmetic_t<C> scale, int64_t f) {
  using T = arithmetic_t<C>;
#pragma omp simd
  for (int64_t i = 0; i < f; ++i) store(d[i], flags[i] != 0 ? load(d[i]) * scale : T(0));
}

#define DEPT_ACTIVATIONS(C)                                                                                            \
  DEPT_CLONES void swiglu_rows(const C* gate, const C* up, C* out, int64_t f) {                                        \
    swiglu_row(gate, up, out, f);                                                                                      \
  }                                                                                                                    \
  DEPT_CLONES void swiglu_backward_rows(const C* d, const C* gate, const C* up, C* d_gate, C* d_up, int64_t f) {       \
    swiglu_backward_row(d, gate, up, d_gate, d_up, f);                                                                 \
  }                                                                                                                    \
  DEPT_CLONES void relu_rows(C* x, const uint16_t* numbers, uint32_t threshold, arithmetic_t<C> scale, uint8_t* flags, \
                             int64_t f) {                                                                              \
    relu_row(x, numbers, threshold, scale, flags, f);                                                                  \
  }                                                                                                                    \
  DEPT_CLONES void relu_backward_rows(C* d, const uint8_t* flags, arithmetic_t<C> scale, int64_t f) {                  \
    relu_backward_row(d, flags, scale, f);                                                                             \
  }
DEPT_ACTIVATIONS(float)
DEPT_ACTIVATIONS(c10::BFloat16)
DEPT_ACTIVATIONS(double)
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

}  // namespace

at::Tensor swiglu(const at::Tensor& gate_up) {
  expect(gate_up.dim() == 2 && gate_up.size(1) % 2 == 0 && gate_up.is_contiguous(), "swiglu", "contiguous [N, 2F]", gate_up);
  const int64_t n = gate_up.size(0), f = gate_up.size(1) / 2;
  at::Tensor out = at::empty({n, f}, gate_up.options());
  dispatch(gate_up.scalar_type(), "swiglu", [&]<class C>(C) {
    const C* in = gate_up.const_data_ptr<C>();
    C* to = out.mutable_data_ptr<C>();
    at::parallel_for(0, n, row_grain(f), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) swiglu_rows(in + i * 2 * f, in + i * 2 * f + f, to + i * f, f);
    });
  });
  return out;
}

at::Tensor swiglu_backward(const at::Tensor& d, const at::Tensor& gate_up) {
  const int64_t n = gate_up.size(0), f = gate_up.size(1) / 2;
  expect(d.is_contiguous() && d.sizes() == at::IntArrayRef({n, f}) && d.scalar_type() == gate_up.scalar_type(), "swiglu_backward",
         "contiguous [N, F] of gate_up's dtype", d);
  at::Tensor out = at::empty_like(gate_up);
  dispatch(gate_up.scalar_type(), "swiglu_backward", [&]<class C>(C) {
    const C *in = gate_up.const_data_ptr<C>(), *dy = d.const_data_ptr<C>();
    C* to = out.mutable_data_ptr<C>();
    at::parallel_for(0, n, row_grain(f), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        swiglu_backward_rows(dy + i * f, in + i * 2 * f, in + i * 2 * f + f, to + i * 2 * f, to + i * 2 * f + f, f);
    });
  });
  return out;
}

void relu_dropout(at::Tensor& x, const Dropout& dropout, at::Tensor* kept) {
  expect(x.dim() == 2 && x.is_contiguous(), "relu_dropout", "contiguous [N, F]", x);
  const int64_t n = x.size(0), f = x.size(1), bytes = (f + 7) / 8;
  if (kept != nullptr) *kept = at::empty({n, bytes}, x.options().dtype(at::kByte));
  dispatch(x.scalar_type(), "relu_dropout", [&]<class C>(C) {
    C* data = x.mutable_data_ptr<C>();
    uint8_t* bits = kept != nullptr ? kept->mutable_data_ptr<uint8_t>() : nullptr;
    const auto scale = static_cast<arithmetic_t<C>>(kept_scale(dropout));
    at::parallel_for(0, n, row_grain(f), [&](int64_t begin, int64_t end) {
      std::vector<uint8_t> flags(f);
      std::vector<uint16_t> numbers(dropout ? f : 0);
      int64_t b = 0;
      for (int64_t i = begin; i < end; ++i) {
        if (dropout) {
          while (i >= dropout.first_token[b + 1]) ++b;
          dropout_numbers(dropout.streams[b], static_cast<uint64_t>(i - dropout.first_token[b]) * f, f, numbers.data());
        }
        relu_rows(data + i * f, dropout ? numbers.data() : nullptr, dropout_threshold(dropout.p), scale, flags.data(), f);
        if (bits != nullptr) pack_bits(flags.data(), f, bits + i * bytes);
      }
    });
  });
}

void relu_dropout_backward(at::Tensor& d, const Dropout& dropout, const at::Tensor& kept) {
  expect(d.dim() == 2 && d.is_contiguous() && kept.sizes() == at::IntArrayRef({d.size(0), (d.size(1) + 7) / 8}),
         "relu_dropout_backward", "contiguous [N, F] with kept [N, F/8]", d);
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

}  // namespace dept::kernels
