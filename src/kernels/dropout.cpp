#include "dept/kernels/dropout.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>

#include "kernels/simd.h"

namespace dept::kernels {
namespace {

constexpr int lanes = 16;  // Philox blocks made at once
constexpr int numbers_per_block = 8;

// philox() of base over `lanes` consecutive counters, written so that the compiler vectorises it. out: 8 numbers a block, in
// order.
DEPT_CLONES void philox_blocks(const uint32_t* counter0, const uint32_t* counter3, uint32_t c1, uint32_t c2, uint64_t key,
                               uint16_t* out) {
  uint32_t a[lanes], b[lanes], c[lanes], d[lanes];
  for (int i = 0; i < lanes; ++i) {
    a[i] = counter0[i];
    b[i] = c1;
    c[i] = c2;
    d[i] = counter3[i];
  }
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
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
    dropout_numbers(dropout.streams[b], static_cast<uint64_t>(n - dropout.first_token[b]) * d, d, numbers.data());
    row(n, numbers.data());
  }
}

void check_rows(const at::Tensor& x, const Dropout& dropout) {
  expect(x.dim() == 2 && x.is_contiguous(), "dropout", "contiguous [N, D]", x);
  if (dropout) expect(x.size(0) == dropout.first_token.back(), "dropout", str("[", dropout.first_token.back(), ", D]"), x);
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

Dropout::Dropout(const Context& ctx, const Ragged& tokens, double probability, int64_t layer, Site site) {
  if (!ctx.training || probability <= 0) return;
  p = probability;
  first_token = tokens.offsets;
  for (int64_t b = 0; b < tokens.batch(); ++b)
    streams.emplace_back(ctx.seeds.at(tokens.config[b]), ctx.micro_step, tokens.example[b], layer, site);
}

void dropout_numbers(const DropoutStream& stream, uint64_t first, int64_t count, uint16_t* out) {
  uint16_t numbers[lanes * numbers_per_block];
  uint32_t low[lanes], high[lanes];
  for (int64_t done = 0; done < count;) {
    const uint64_t block = (first + done) / numbers_per_block;
    for (int i = 0; i < lanes; ++i) {
      low[i] = static_cast<uint32_t>(block + i);
      high[i] = stream.layer_site ^ static_cast<uint32_t>((block + i) >> 32) << 24;
    }
    philox_blocks(low, high, stream.example, stream.micro_step, stream.seed, numbers);
    const int64_t skip = static_cast<int64_t>((first + done) % numbers_per_block);
    const int64_t taken = std::min<int64_t>(count - done, lanes * numbers_per_block - skip);
    std::copy_n(numbers + skip, taken, out + done);
    done += taken;
  }
}

at::Tensor add_dropout(const at::Tensor& x, const at::Tensor& branch, const Dropout& dropout) {
  check_rows(branch, dropout);
  expect(x.is_contiguous() && x.sizes() == branch.sizes(), "add_dropout", "x shaped like the branch", x);
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

at::Tensor add_dropout_backward(const at::Tensor& d, const Dropout& dropout, at::ScalarType dtype) {
  check_rows(d, dropout);
  if (!dropout) return d.to(dtype);
  at::Tensor out = at::empty(d.sizes(), d.options().dtype(dtype));
  if (d.scalar_type() == at::kDouble)
    masked_rows<double, double>(nullptr, d, dropout, out);
  else if (dtype == at::kFloat)
    masked_rows<float, float>(nullptr, d, dropout, out);
  else
    masked_rows<float, c10::BFloat16>(nullptr, d, dropout, out);
  return out;
}

at::Tensor apply_dropout(const at::Tensor& x, const Dropout& dropout) {
  if (!dropout) return x;
  check_rows(x, dropout);
  at::Tensor out = at::empty_like(x);
  dispatch(x.scalar_type(), "apply_dropout", [&]<class C>(C) { masked_rows<C, C>(nullptr, x, dropout, out); });
  return out;
}

}  // namespace dept::kernels
