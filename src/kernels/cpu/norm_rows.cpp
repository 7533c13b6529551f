#include "dept/kernels/norm_rows.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "kernels/check.h"
#include "kernels/cpu/avx512.h"
#include "kernels/cpu/panel_product.h"
#include "kernels/cpu/simd.h"

namespace dept::kernels {
namespace {

using avx512::lanes;
using avx512::load_numbers;
using avx512::store_bf16;
using c10::BFloat16;

DEPT_AVX512_BEGIN

// The sum of term(i), 16 numbers from each i on, over a row.
template <class Term>
float row_sum(int64_t d, Term&& term) {
  __m512 even = _mm512_setzero_ps(), odd = _mm512_setzero_ps();
  int64_t i = 0;
  for (; i + lanes < d; i += 2 * lanes) {
    even = _mm512_add_ps(even, term(i));
    odd = _mm512_add_ps(odd, term(i + lanes));
  }
  if (i < d) even = _mm512_add_ps(even, term(i));
  return _mm512_reduce_add_ps(_mm512_add_ps(even, odd));
}

struct Weights {
  const float *weight, *bias;  // bias null: an RMSNorm
  int64_t d;
  float eps;
};

// Codes of NormSaved, and their squares with sign, which times largest / most^2 are n.
void store_normalised(int8_t* to, __m512 n, float to_squares) {
  const __m512 square = _mm512_mul_ps(_mm512_abs_ps(n), _mm512_set1_ps(to_squares));
  const __mmask16 some = _mm512_cmp_ps_mask(square, _mm512_setzero_ps(), _CMP_GT_OQ);
  const __m512i root = _mm512_cvtps_epi32(_mm512_maskz_mul_ps(some, square, _mm512_rsqrt14_ps(square)));
  const __mmask16 negative = _mm512_movepi32_mask(_mm512_castps_si512(n));
  const __m512i code = _mm512_mask_sub_epi32(root, negative, _mm512_setzero_si512(), root);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtsepi32_epi8(code));
}
__m512 load_normalised(const int8_t* from) {
  const __m512i code = _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  return _mm512_cvtepi32_ps(_mm512_mullo_epi16(code, _mm512_abs_epi16(code)));
}
__m512 load_normalised(const BFloat16* from) {
  return load_numbers(from);
}

struct RowStatistics {
  float rstd, largest;
};

// Writes y, and where they are not null n and y in fp32.
RowStatistics forward_row(const float* x, const Weights& w, BFloat16* y, int8_t* normalised, float* wide) {
  const auto width = static_cast<float>(w.d);
  const float mean = w.bias != nullptr ? row_sum(w.d, [x](int64_t i) { return _mm512_loadu_ps(x + i); }) / width : 0;
  const __m512 centre = _mm512_set1_ps(mean);
  __m512i farthest = _mm512_setzero_si512();  // bits of numbers that are not negative, which order as these do
  const float squares = row_sum(w.d, [x, centre, &farthest](int64_t i) {
    const __m512 far = _mm512_sub_ps(_mm512_loadu_ps(x + i), centre), square = _mm512_mul_ps(far, far);
    farthest = _mm512_max_epu32(farthest, _mm512_castps_si512(square));
    return square;
  });
  const float rstd = 1.0F / std::sqrt(squares / width + w.eps);
  const float largest = std::sqrt(std::bit_cast<float>(_mm512_reduce_max_epu32(farthest))) * rstd;
  const float to_squares = largest > 0 ? NormSaved::most * NormSaved::most / largest : 0;
  for (int64_t i = 0; i < w.d; i += lanes) {
    const __m512 n = _mm512_mul_ps(_mm512_sub_ps(_mm512_loadu_ps(x + i), centre), _mm512_set1_ps(rstd));
    __m512 out = _mm512_mul_ps(n, _mm512_loadu_ps(w.weight + i));
    if (w.bias != nullptr) out = _mm512_add_ps(out, _mm512_loadu_ps(w.bias + i));
    store_bf16(y + i, out);
    if (normalised != nullptr) store_normalised(normalised + i, n, to_squares);
    if (wide != nullptr) _mm512_storeu_ps(wide + i, out);
  }
  return {rstd, largest};
}

// d = rstd (g - mean(g) - n mean(g n)), g = w dy, without mean(g) of an RMSNorm; or `add`ed to d. unit: what n is a multiple of.
template <class N, class D>
void backward_row(const D* dy, const N* n, float unit, const Weights& w, float rstd, bool add, float* d) {
  const auto width = static_cast<float>(w.d);
  const auto g = [&](int64_t i) { return _mm512_mul_ps(load_numbers(dy + i), _mm512_loadu_ps(w.weight + i)); };
  const float mean = w.bias != nullptr ? row_sum(w.d, g) / width : 0;
  const float slope = row_sum(w.d, [&](int64_t i) { return _mm512_mul_ps(g(i), load_normalised(n + i)); }) / width;
  const __m512 scale = _mm512_set1_ps(rstd), share = _mm512_set1_ps(slope * unit * unit);
  for (int64_t i = 0; i < w.d; i += lanes) {
    const __m512 centred = _mm512_sub_ps(g(i), _mm512_set1_ps(mean));
    const __m512 dx = _mm512_mul_ps(scale, _mm512_fnmadd_ps(load_normalised(n + i), share, centred));
    _mm512_storeu_ps(d + i, add ? _mm512_add_ps(_mm512_loadu_ps(d + i), dx) : dx);
  }
}

// numbers null: no dropout.
void branch_row(const float* d, const uint16_t* numbers, uint32_t threshold, float scale, int64_t count, BFloat16* branch) {
  const __m256i least = _mm256_set1_epi16(static_cast<int16_t>(threshold));
  for (int64_t i = 0; i < count; i += lanes) {
    __mmask16 kept = 0xFFFF;
    if (numbers != nullptr)
      kept = _mm256_cmpge_epu16_mask(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(numbers + i)), least);
    store_bf16(branch + i, _mm512_maskz_mul_ps(kept, _mm512_loadu_ps(d + i), _mm512_set1_ps(scale)));
  }
}

DEPT_AVX512_END

Weights weights_of(const NormWeights& norm) {
  return {norm.weight.const_data_ptr<float>(), norm.bias.defined() ? norm.bias.const_data_ptr<float>() : nullptr,
          norm.weight.size(0), static_cast<float>(norm.eps)};
}

// The rows of a tensor [N, width] or [N]; undefined: null.
template <class T>
struct Rows {
  T* data = nullptr;
  int64_t width;

  explicit Rows(const at::Tensor& x) : width(!x.defined() ? 0 : x.dim() == 1 ? 1 : x.size(1)) {
    if (x.defined()) data = x.mutable_data_ptr<T>();
  }
  T* at(int64_t n) const { return data != nullptr ? data + n * width : nullptr; }
};

// Writes rows first .. of d through dropout to branch.
void branch_rows(const at::Tensor& d, const Dropout& dropout, int64_t first, int64_t count, const at::Tensor& branch) {
  const int64_t width = d.size(1);
  const auto scale = static_cast<float>(dropout ? dropout_scale(dropout.p) : 1.0);
  const Rows<float> from(d);
  const Rows<BFloat16> to(branch);
  std::vector<uint16_t> numbers(dropout ? width : 0);
  const std::vector<int64_t>& begins = dropout.first_token;
  auto next = std::upper_bound(begins.begin(), begins.end(), first);
  for (int64_t n = first; n < first + count; ++n) {
    if (dropout) {
      while (n >= *next) ++next;
      const int64_t b = next - begins.begin() - 1;
      dropout_numbers(dropout.streams[b], static_cast<uint64_t>(dropout.token(b, n) * width), width, numbers.data());
    }
    branch_row(from.at(n), dropout ? numbers.data() : nullptr, dropout_threshold(dropout.p), scale, width, to.at(n));
  }
}

}  // namespace

void for_all_rows(const at::Tensor& x, RowsDone rows) {
  at::parallel_for(0, x.size(0), row_grain(x.size(1)), [&](int64_t begin, int64_t end) { rows(x, begin, end - begin); });
}

bool takes_norm_rows(at::ScalarType branch) {
  return branch == at::kBFloat16 && has_packed_products();
}

NormSaved opened(const NormSaved& saved, at::ScalarType dtype) {
  if (!saved.coded()) return {saved.normalised.to(dtype), saved.rstd};
  const at::Tensor code = saved.normalised.to(saved.rstd.scalar_type());
  return {(code * code.abs() * (saved.largest / (NormSaved::most * NormSaved::most)).unsqueeze(1)).to(dtype), saved.rstd};
}

NormForward::NormForward(NormWeights norm, NormPlace place, int64_t rows, bool keep) : norm_(std::move(norm)), place_(place) {
  y = at::empty({rows, norm_.weight.size(0)}, at::TensorOptions(at::kBFloat16));
  if (!keep) return;
  saved = {at::empty(y.sizes(), at::TensorOptions(at::kChar)), at::empty({rows}, norm_.weight.options())};
  saved.largest = at::empty_like(saved.rstd);
}

void NormForward::operator()(const at::Tensor& x, int64_t first, int64_t count) const {
  const Weights weights = weights_of(norm_);
  const Rows<float> from(x);
  const Rows<BFloat16> to(y);
  const Rows<int8_t> normalised(saved.normalised);
  const Rows<float> rstd(saved.rstd), largest(saved.largest);
  for (int64_t n = first; n < first + count; ++n) {
    const RowStatistics of =
        forward_row(from.at(n), weights, to.at(n), normalised.at(n), place_ == NormPlace::behind ? from.at(n) : nullptr);
    if (rstd.data != nullptr) *rstd.at(n) = of.rstd;
    if (largest.data != nullptr) *largest.at(n) = of.largest;
  }
}

NormBackward::NormBackward(const NormWeights& norm, const NormSaved& saved, const Dropout* dropout)
    : norm_(norm), saved_(saved), dropout_(dropout) {
  if (dropout == nullptr) return;
  expect_rows(*dropout, saved.normalised.size(0), "NormBackward");
  branch = at::empty(saved.normalised.sizes(), at::TensorOptions(at::kBFloat16));
}

template <class D>
void NormBackward::rows(const at::Tensor& dy, const at::Tensor& d, bool add, int64_t first, int64_t count) const {
  const Weights weights = weights_of(norm_);
  const Rows<D> from(dy);
  const Rows<float> to(d), rstd(saved_.rstd), largest(saved_.largest);
  const auto all = [&]<class N>(N) {
    const Rows<N> normalised(saved_.normalised);
    for (int64_t n = first; n < first + count; ++n) {
      const float unit = largest.data != nullptr ? *largest.at(n) / (NormSaved::most * NormSaved::most) : 1;
      backward_row(from.at(n), normalised.at(n), unit, weights, *rstd.at(n), add, to.at(n));
    }
  };
  if (saved_.coded())
    all(int8_t{});
  else
    all(BFloat16{});
  if (dropout_ != nullptr) branch_rows(d, *dropout_, first, count, branch);
}

void NormBackward::behind(const at::Tensor& d, int64_t first, int64_t count) const {
  rows<float>(d, d, false, first, count);
}

void NormBackward::before(const at::Tensor& dy, const at::Tensor& d, int64_t first, int64_t count) const {
  rows<BFloat16>(dy, d, true, first, count);
}

}  // namespace dept::kernels
