#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>

#include "kernels/cpu/avx512.h"
#include "kernels/cpu/simd.h"
#include "kernels/operators.h"

namespace dept::kernels {
namespace {

constexpr int lanes = 16;  // Philox blocks made at once
constexpr int numbers_per_block = 8;
constexpr int64_t run = lanes * numbers_per_block;

// `run` numbers of a stream from a block on, in order.
struct Run {
  const DropoutStream& stream;
  uint64_t block;
  uint32_t low() const { return static_cast<uint32_t>(block); }
  uint32_t high() const { return stream.layer_site ^ static_cast<uint32_t>(block >> 32) << 24; }
};

// philox() over `lanes` consecutive counters, written so that the compiler vectorises it.
DEPT_CLONES void philox_blocks(const Run& from, uint16_t* out) {
  uint32_t a[lanes], b[lanes], c[lanes], d[lanes];
  for (int i = 0; i < lanes; ++i) {
    a[i] = from.low() + static_cast<uint32_t>(i);
    b[i] = from.stream.example;
    c[i] = from.stream.micro_step;
    d[i] = from.high();
  }
  uint32_t k0 = static_cast<uint32_t>(from.stream.seed), k1 = static_cast<uint32_t>(from.stream.seed >> 32);
  for (int round = 0; round < 10; ++round) {
#pragma omp simd
    for (int i = 0; i < lanes; ++i) {
      const uint64_t x = uint64_t{0xD2511F53} * a[i], y = uint64_t{0xCD9E8D57} * c[i];
      a[i] = static_cast<uint32_t>(y >> 32) ^ b[i] ^ k0;
      b[i] = static_cast<uint32_t>(y);
      c[i] = static_cast<uint32_t>(x >> 32) ^ d[i] ^ k1;
      d[i] = static_cast<uint32_t>(x);
    }
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  for (int i = 0; i < lanes; ++i) {
    const uint32_t words[4] = {a[i], b[i], c[i], d[i]};
    for (int w = 0; w < 4; ++w) {
      out[i * numbers_per_block + 2 * w] = static_cast<uint16_t>(words[w]);
      out[i * numbers_per_block + 2 * w + 1] = static_cast<uint16_t>(words[w] >> 16);
    }
  }
}

DEPT_AVX512_BEGIN

// Eight blocks with AVX-512: each word in the low half of 64 bits, which a product of 32 bits reads, whatever the high half
// holds.
struct Philox8 {
  __m512i a, b, c, d;

  Philox8(const Run& from, int first)
      : a(_mm512_add_epi64(_mm512_set1_epi64(from.low() + first),
                           // lane 2j + t holds block 4t + j, which the final unpacking brings into order
                           _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7))),
        b(_mm512_set1_epi64(from.stream.example)),
        c(_mm512_set1_epi64(from.stream.micro_step)),
        d(_mm512_set1_epi64(from.high())) {}

  static __m512i high_words(__m512i x) { return _mm512_shuffle_epi32(x, _MM_PERM_DDBB); }
  void round(__m512i k0, __m512i k1) {
    constexpr int exclusive_or = 0x96;
    const __m512i x = _mm512_mul_epu32(a, _mm512_set1_epi64(0xD2511F53)), y = _mm512_mul_epu32(c, _mm512_set1_epi64(0xCD9E8D57));
    a = _mm512_ternarylogic_epi32(high_words(y), b, k0, exclusive_or);
    b = y;
    c = _mm512_ternarylogic_epi32(high_words(x), d, k1, exclusive_or);
    d = x;
  }
  static __m512i pairs(__m512i low, __m512i high) {
    constexpr __mmask16 odd = 0xAAAA;
    return _mm512_mask_shuffle_epi32(low, odd, high, _MM_PERM_CCAA);
  }
  void write(uint16_t* out) const {
    const __m512i ab = pairs(a, b), cd = pairs(c, d);
    _mm512_storeu_si512(out, _mm512_unpacklo_epi64(ab, cd));
    _mm512_storeu_si512(out + 32, _mm512_unpackhi_epi64(ab, cd));
  }
};

// The keys of a stream's rounds, one after the other.
struct RoundKeys {
  __m512i low, high;

  explicit RoundKeys(uint64_t seed)
      : low(_mm512_set1_epi32(static_cast<int>(seed))), high(_mm512_set1_epi32(static_cast<int>(seed >> 32))) {}
  void next() {
    low = _mm512_add_epi32(low, _mm512_set1_epi32(static_cast<int>(0x9E3779B9)));
    high = _mm512_add_epi32(high, _mm512_set1_epi32(static_cast<int>(0xBB67AE85)));
  }
};

// Two runs at once: a round waits for its products, and the others fill that time.
void two_runs_avx512(const Run& first, const Run& second, uint16_t* out) {
  constexpr int half = lanes / 2;
  Philox8 blocks[4] = {{first, 0}, {first, half}, {second, 0}, {second, half}};
  RoundKeys keys[2] = {RoundKeys(first.stream.seed), RoundKeys(second.stream.seed)};
  for (int i = 0; i < 10; ++i) {
    for (int b = 0; b < 4; ++b) blocks[b].round(keys[b / 2].low, keys[b / 2].high);
    for (RoundKeys& key : keys) key.next();
  }
  for (int b = 0; b < 4; ++b) blocks[b].write(out + b * half * numbers_per_block);
}

DEPT_AVX512_END

bool has_avx512() {
  static const bool has = __builtin_cpu_supports("avx512bf16") != 0 && __builtin_cpu_supports("avx512bw") != 0;
  return has;
}

bool overflows(const Run& from) {
  return from.low() > UINT32_MAX - lanes;
}

void one_run(const Run& from, uint16_t* out) {
  if (!overflows(from)) return philox_blocks(from, out);
  for (uint64_t i = 0; i < run; ++i) out[i] = static_cast<uint16_t>(from.stream.number(from.block * numbers_per_block + i));
}

// 2 * run numbers.
void two_runs(const Run& first, const Run& second, uint16_t* out) {
  if (has_avx512() && !overflows(first) && !overflows(second)) return two_runs_avx512(first, second, out);
  one_run(first, out);
  one_run(second, out + run);
}

// out = x + mask * scale * branch; x null: without it.
template <class X, class C, class O, class T>
DEPT_INLINE void masked_row(const X* x, const C* branch, const uint16_t* numbers, uint32_t threshold, T scale, O* out,
                            int64_t d) {
#pragma omp simd
  for (int64_t i = 0; i < d; ++i) {
    const T kept = numbers[i] >= threshold ? scale * static_cast<T>(load(branch[i])) : T(0);
    store(out[i], x == nullptr ? kept : static_cast<T>(load(x[i])) + kept);
  }
}
template <class X, class C, class T>
DEPT_INLINE void added_row(const X* x, const C* branch, T* out, int64_t d) {
#pragma omp simd
  for (int64_t i = 0; i < d; ++i) out[i] = static_cast<T>(x[i]) + static_cast<T>(load(branch[i]));
}

#define DEPT_MASKED(C, O, T)                                                                                         \
  DEPT_CLONES void masked(const T* x, const C* branch, const uint16_t* numbers, uint32_t threshold, T scale, O* out, \
                          int64_t d) {                                                                               \
    masked_row(x, branch, numbers, threshold, scale, out, d);                                                        \
  }
DEPT_MASKED(float, float, float)
DEPT_MASKED(c10::BFloat16, float, float)
DEPT_MASKED(float, c10::BFloat16, float)
DEPT_MASKED(c10::BFloat16, c10::BFloat16, float)
DEPT_MASKED(double, double, double)
#undef DEPT_MASKED

#define DEPT_ADDED(C, T)                                                   \
  DEPT_CLONES void added(const T* x, const C* branch, T* out, int64_t d) { \
    added_row(x, branch, out, d);                                          \
  }
DEPT_ADDED(float, float)
DEPT_ADDED(c10::BFloat16, float)
DEPT_ADDED(double, double)
#undef DEPT_ADDED

// Calls row(n, numbers of that row) for the rows [begin, end) of a [N, D] tensor.
template <class F>
void for_masked_rows(const Dropout& dropout, int64_t begin, int64_t end, int64_t d, F&& row) {
  std::vector<uint16_t> numbers(d);
  auto next = std::upper_bound(dropout.first_token.begin(), dropout.first_token.end(), begin);
  for (int64_t n = begin; n < end; ++n) {
    while (n >= *next) ++next;
    const int64_t b = next - dropout.first_token.begin() - 1;
    dropout_numbers(dropout.streams[b], static_cast<uint64_t>(dropout.token(b, n) * d), d, numbers.data());
    row(n, numbers.data());
  }
}

// out [N, D] of O = dropout(branch) of C, plus x when given.
template <class C, class O>
void masked_rows(const at::Tensor* x, const at::Tensor& branch, const Dropout& dropout, at::Tensor& out) {
  using T = arithmetic_t<C>;
  const int64_t d = branch.size(1);
  const T* base = x != nullptr ? x->const_data_ptr<T>() : nullptr;
  const C* from = branch.const_data_ptr<C>();
  O* to = out.mutable_data_ptr<O>();
  const T scale = static_cast<T>(dropout_scale(dropout.p));
  at::parallel_for(0, branch.size(0), row_grain(d), [&](int64_t begin, int64_t end) {
    for_masked_rows(dropout, begin, end, d, [&](int64_t n, const uint16_t* numbers) {
      masked(base != nullptr ? base + n * d : nullptr, from + n * d, numbers, dropout_threshold(dropout.p), scale, to + n * d, d);
    });
  });
}

}  // namespace

void dropout_numbers(const DropoutStream& stream, uint64_t first, int64_t count, uint16_t* out) {
  uint16_t numbers[2 * run];
  for (int64_t done = 0; done < count;) {
    const uint64_t block = (first + done) / numbers_per_block;
    const auto skip = static_cast<int64_t>((first + done) % numbers_per_block);
    const int64_t taken = std::min(count - done, 2 * run - skip);
    uint16_t* to = taken == 2 * run ? out + done : numbers;
    two_runs({stream, block}, {stream, block + lanes}, to);
    if (to == numbers) std::copy_n(numbers + skip, taken, out + done);
    done += taken;
  }
}

DropoutRows::DropoutRows(const Dropout& dropout, int64_t columns) : dropout_(dropout), columns_(columns) {}

void DropoutRows::two_pieces(int64_t row, int64_t column, uint16_t* out) {
  const int64_t other = std::min(row + 1, dropout_.first_token.back() - 1);
  const auto piece = [&](int64_t n) {
    const std::vector<int64_t>& begins = dropout_.first_token;
    if (n < begins[sequence_] || n >= begins[sequence_ + 1])
      sequence_ = std::upper_bound(begins.begin(), begins.end(), n) - begins.begin() - 1;
    return Run{dropout_.streams[sequence_],
               static_cast<uint64_t>(dropout_.token(sequence_, n) * columns_ + column) / numbers_per_block};
  };
  const Run first = piece(row), second = piece(other);
  two_runs(first, second, out);
}

namespace cpu {

at::Tensor add_dropout(const at::Tensor& x, const at::Tensor& branch, const Dropout& dropout) {
  at::Tensor out = at::empty_like(x);
  dispatch(branch.scalar_type(), "add_dropout", [&]<class C>(C) {
    using T = arithmetic_t<C>;
    if (dropout) return masked_rows<C, T>(&x, branch, dropout, out);
    const int64_t d = x.size(1);
    at::parallel_for(0, x.size(0), row_grain(d), [&](int64_t begin, int64_t end) {
      added(x.const_data_ptr<T>() + begin * d, branch.const_data_ptr<C>() + begin * d, out.mutable_data_ptr<T>() + begin * d,
            (end - begin) * d);
    });
  });
  return out;
}

at::Tensor drop(const at::Tensor& x, const Dropout& dropout, at::ScalarType dtype) {
  at::Tensor out = at::empty(x.sizes(), x.options().dtype(dtype));
  dispatch(x.scalar_type(), "dropout", [&]<class C>(C) {
    if (x.scalar_type() == dtype) return masked_rows<C, C>(nullptr, x, dropout, out);
    if constexpr (std::is_same_v<C, float>) masked_rows<float, c10::BFloat16>(nullptr, x, dropout, out);
  });
  return out;
}

}  // namespace cpu

}  // namespace dept::kernels
