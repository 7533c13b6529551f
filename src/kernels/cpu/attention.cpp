#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>

#include "dept/kernels/dropout.h"
#include "kernels/cpu/attention_parts.h"
#include "kernels/cpu/simd.h"
#include "kernels/operators.h"
#include "kernels/visible_keys.h"

// The BLAS that LibTorch carries; column-major, Fortran's calling convention.
extern "C" {
void sgemm_(const char*, const char*, const int*, const int*, const int*, const float*, const float*, const int*, const float*,
            const int*, const float*, float*, const int*);
void dgemm_(const char*, const char*, const int*, const int*, const int*, const double*, const double*, const int*, const double*,
            const int*, const double*, double*, const int*);
}

namespace dept::kernels::cpu {
namespace {

// Column-major: c [m, n] = alpha a b, each of a and b transposed where `turned` says so; `ld` numbers from column to column.
template <class T>
struct BlasOperand {
  const T* data;
  int ld;
  bool turned;
  const char* how() const { return turned ? "T" : "N"; }
};
struct BlasSizes {
  int m, n, k;
};
void blas_gemm(BlasSizes size, float alpha, BlasOperand<float> a, BlasOperand<float> b, float* c) {
  const float beta = 0;
  sgemm_(a.how(), b.how(), &size.m, &size.n, &size.k, &alpha, a.data, &a.ld, b.data, &b.ld, &beta, c, &size.m);
}
void blas_gemm(BlasSizes size, double alpha, BlasOperand<double> a, BlasOperand<double> b, double* c) {
  const double beta = 0;
  dgemm_(a.how(), b.how(), &size.m, &size.n, &size.k, &alpha, a.data, &a.ld, b.data, &b.ld, &beta, c, &size.m);
}

// A contiguous row-major matrix [rows, columns], or one whose transpose is stored.
template <class T>
struct Matrix {
  const T* data;
  int64_t rows, columns;
  bool transposed = false;

  // Column-major, its storage is the transpose of what it holds.
  BlasOperand<T> for_blas() const { return {data, static_cast<int>(transposed ? rows : columns), transposed}; }
};

// c [m, n] = alpha a b, a [m, k], b [k, n]: to a column-major library c^T = b^T a^T.
template <class T>
void product(const Matrix<T>& a, const Matrix<T>& b, T alpha, T* c) {
  blas_gemm({static_cast<int>(b.columns), static_cast<int>(a.rows), static_cast<int>(a.columns)}, alpha, b.for_blas(),
            a.for_blas(), c);
}

template <class C, class T>
DEPT_INLINE void to_arithmetic(const C* from, T* to, int64_t count) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) to[i] = load(from[i]);
}
template <class C, class T>
DEPT_INLINE void to_storage(const T* from, C* to, int64_t count) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) store(to[i], from[i]);
}
template <class T>
DEPT_INLINE T softmax_visible(T* s, int64_t visible, int64_t total) {
  T top = s[0], sum = 0;
#pragma omp simd reduction(max : top)
  for (int64_t j = 0; j < visible; ++j) top = std::max(top, s[j]);
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < visible; ++j) {
    s[j] = exponential(s[j] - top);
    sum += s[j];
  }
  const T inverse = T(1) / sum;
#pragma omp simd
  for (int64_t j = 0; j < visible; ++j) s[j] *= inverse;
  for (int64_t j = visible; j < total; ++j) s[j] = 0;
  return top + std::log(sum);
}
template <class T>
DEPT_INLINE void probabilities_from_lse(T* s, T lse, int64_t visible, int64_t total) {
#pragma omp simd
  for (int64_t j = 0; j < visible; ++j) s[j] = exponential(s[j] - lse);
  for (int64_t j = visible; j < total; ++j) s[j] = 0;
}
template <class T>
DEPT_INLINE void score_gradient(T* dp, const T* p, T delta, int64_t total) {
#pragma omp simd
  for (int64_t j = 0; j < total; ++j) dp[j] = p[j] * (dp[j] - delta);
}
template <class T>
DEPT_INLINE T inner(const T* a, const T* b, int64_t count) {
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < count; ++i) sum += a[i] * b[i];
  return sum;
}
template <class T>
DEPT_INLINE void mask_row(T* x, const uint16_t* numbers, uint32_t threshold, T scale, int64_t count) {
#pragma omp simd
  for (int64_t j = 0; j < count; ++j) x[j] = numbers[j] >= threshold ? x[j] * scale : T(0);
}

#define DEPT_CONVERSIONS(C, T)                                        \
  DEPT_CLONES void convert_in(const C* from, T* to, int64_t count) {  \
    to_arithmetic(from, to, count);                                   \
  }                                                                   \
  DEPT_CLONES void convert_out(const T* from, C* to, int64_t count) { \
    to_storage(from, to, count);                                      \
  }
DEPT_CONVERSIONS(float, float)
DEPT_CONVERSIONS(c10::BFloat16, float)
DEPT_CONVERSIONS(double, double)
#undef DEPT_CONVERSIONS

#define DEPT_ROW_FUNCTIONS(T)                                                                            \
  DEPT_CLONES T softmax_row(T* s, int64_t visible, int64_t total) {                                      \
    return softmax_visible(s, visible, total);                                                           \
  }                                                                                                      \
  DEPT_CLONES void probability_row(T* s, T lse, int64_t visible, int64_t total) {                        \
    probabilities_from_lse(s, lse, visible, total);                                                      \
  }                                                                                                      \
  DEPT_CLONES void score_gradient_row(T* dp, const T* p, T delta, int64_t total) {                       \
    score_gradient(dp, p, delta, total);                                                                 \
  }                                                                                                      \
  DEPT_CLONES T dot(const T* a, const T* b, int64_t count) {                                             \
    return inner(a, b, count);                                                                           \
  }                                                                                                      \
  DEPT_CLONES void drop_row(T* x, const uint16_t* numbers, uint32_t threshold, T scale, int64_t count) { \
    mask_row(x, numbers, threshold, scale, count);                                                       \
  }
DEPT_ROW_FUNCTIONS(float)
DEPT_ROW_FUNCTIONS(double)
#undef DEPT_ROW_FUNCTIONS

// One span and one key/value head with its group of query heads, gathered into contiguous arithmetic-type scratch.
template <class C>
class Tile {
 public:
  using T = arithmetic_t<C>;

  explicit Tile(const AttentionCall& call)
      : shape_(call.shape),
        options_(call.options),
        q_(heads_of<C>(call.in.q)),
        k_(heads_of<C>(call.in.k)),
        v_(heads_of<C>(call.in.v)) {
    if (options_.relative_bias.defined()) bias_reach_ = options_.relative_bias.size(1) / 2;
  }

  void load_span(const AttentionSpan& span, int64_t kv_head) {
    span_ = span;
    kv_head_ = kv_head;
    keys_ = span.prefix_length + span.k_length;
    rows_ = shape_.group() * span.q_length;
    key.resize(keys_ * shape_.k);
    value.resize(keys_ * shape_.k);
    query.resize(rows_ * shape_.k);
    scores.resize(rows_ * keys_);
    for (int64_t j = 0; j < keys_; ++j) {
      convert_in(k_.at(key_row(span, j), kv_head), key.data() + j * shape_.k, shape_.k);
      convert_in(v_.at(key_row(span, j), kv_head), value.data() + j * shape_.k, shape_.k);
    }
    gather(q_, query);
  }

  const AttentionOptions& options() const { return options_; }
  int64_t keys() const { return keys_; }
  int64_t rows() const { return rows_; }
  int64_t head(int64_t row) const { return kv_head_ * shape_.group() + row / span_.q_length; }
  int64_t query_row(int64_t row) const { return span_.q_begin + row % span_.q_length; }
  /// Calls f(s, visible, total) for the scores of a row from its first visible key on; those before become 0.
  template <class F>
  auto at_visible(int64_t row, F&& f) {
    const VisibleKeys seen = visible_keys(span_, options_, row % span_.q_length);
    T* s = scores.data() + row * keys_;
    std::fill_n(s, seen.first, T(0));
    return f(s + seen.first, seen.end - seen.first, keys_ - seen.first);
  }

  /// Rows of this tile's heads out of [N, H, K] into contiguous scratch.
  void gather(Heads<const C> from, std::vector<T>& to) const {
    to.resize(rows_ * shape_.k);
    for (int64_t row = 0; row < rows_; ++row)
      convert_in(from.at(query_row(row), head(row)), to.data() + row * shape_.k, shape_.k);
  }
  void scatter(const std::vector<T>& from, Heads<C> to) const {
    for (int64_t row = 0; row < rows_; ++row)
      convert_out(from.data() + row * shape_.k, to.at(query_row(row), head(row)), shape_.k);
  }

  /// scores = cap(scale * q k^T) + bias; `slope` (not null) receives the cap's derivative where there is one.
  void compute_scores(std::vector<T>* slope = nullptr) {
    product<T>({query.data(), rows_, shape_.k}, {key.data(), shape_.k, keys_, true}, static_cast<T>(options_.scale),
               scores.data());
    if (options_.score_cap > 0) cap_scores(slope);
    if (bias_reach_ < 0) return;
    const int64_t offset = keys_ - span_.q_length;  // queries are the last tokens of the keys in self-attention
    const int64_t biased_queries = span_.q_length - span_.unbiased, biased_keys = keys_ - span_.unbiased;
    for (int64_t row = 0; row < rows_; ++row) {
      if (row % span_.q_length >= biased_queries) continue;
      const int64_t position = (options_.causal ? offset : 0) + row % span_.q_length;
      const T* bias = options_.relative_bias.const_data_ptr<T>() + head(row) * (2 * bias_reach_ + 1) + bias_reach_ - position;
      T* s = scores.data() + row * keys_;
      for (int64_t j = 0; j < biased_keys; ++j) s[j] += bias[j];
    }
  }

  /// x [rows, keys] = dropout(x), the same bits in forward and backward.
  void drop(std::vector<T>& x) {
    if (options_.dropout <= 0) return;
    numbers_.resize(keys_);
    const uint32_t threshold = dropout_threshold(options_.dropout);
    const T scale = static_cast<T>(dropout_scale(options_.dropout));
    for (int64_t row = 0; row < rows_; ++row) {
      const uint64_t first = static_cast<uint64_t>(head(row) * span_.q_length + row % span_.q_length) * keys_;
      dropout_numbers(options_.streams[span_.sequence], first, keys_, numbers_.data());
      drop_row(x.data() + row * keys_, numbers_.data(), threshold, scale, keys_);
    }
  }

  std::vector<T> key, value, query, scores;

 private:
  void cap_scores(std::vector<T>* slope) {
    const T cap = static_cast<T>(options_.score_cap);
    if (slope != nullptr) slope->resize(scores.size());
    for (size_t i = 0; i < scores.size(); ++i) {
      const T share = std::tanh(scores[i] / cap);
      scores[i] = cap * share;
      if (slope != nullptr) (*slope)[i] = 1 - share * share;
    }
  }

  const Shape& shape_;
  const AttentionOptions& options_;
  Heads<const C> q_, k_, v_;
  AttentionSpan span_{};
  int64_t kv_head_ = 0, keys_ = 0, rows_ = 0, bias_reach_ = -1;
  std::vector<uint16_t> numbers_;
};

template <class C>
void forward_tiles(const AttentionCall& call, at::Tensor& out, at::Tensor& lse) {
  using T = arithmetic_t<C>;
  const Shape& shape = call.shape;
  const at::Tensor out_heads = out.view({shape.queries, shape.heads, shape.k});
  T* statistics = lse.mutable_data_ptr<T>();
  at::parallel_for(0, static_cast<int64_t>(call.spans.size()) * shape.kv_heads, 1, [&](int64_t begin, int64_t end) {
    Tile<C> tile(call);
    std::vector<T> result;
    for (int64_t task = begin; task < end; ++task) {
      tile.load_span(call.spans[task / shape.kv_heads], task % shape.kv_heads);
      tile.compute_scores();
      for (int64_t row = 0; row < tile.rows(); ++row)
        statistics[tile.head(row) * shape.queries + tile.query_row(row)] =
            tile.at_visible(row, [](T* s, int64_t visible, int64_t total) { return softmax_row(s, visible, total); });
      tile.drop(tile.scores);
      result.resize(tile.rows() * shape.k);
      product<T>({tile.scores.data(), tile.rows(), tile.keys()}, {tile.value.data(), tile.keys(), shape.k}, T(1), result.data());
      tile.scatter(result, mutable_heads_of<C>(out_heads));
    }
  });
}

// The gradients of one tile after the other, in scratch.
template <class C>
class BackwardTile : public Tile<C> {
 public:
  using T = arithmetic_t<C>;
  using Tile<C>::Tile;
  using Tile<C>::scores;

  // From d loss / d out, and the log-sum-exp at its first query and head: the tile's dq, dk and dv.
  void run(const Shape& shape, Heads<const C> d_heads, const T* lse) {
    const int64_t keys = this->keys(), rows = this->rows(), k = shape.k;
    this->compute_scores(&slope_);
    for (int64_t row = 0; row < rows; ++row) {
      const T of_row = lse[this->head(row) * shape.queries + this->query_row(row)];
      this->at_visible(row, [&](T* s, int64_t visible, int64_t total) { probability_row(s, of_row, visible, total); });
    }
    this->gather(d_heads, d_);
    dropped_ = scores;
    this->drop(dropped_);
    dv.resize(keys * k);
    product<T>({dropped_.data(), keys, rows, true}, {d_.data(), rows, k}, T(1), dv.data());
    dp_.resize(rows * keys);
    product<T>({d_.data(), rows, k}, {this->value.data(), k, keys, true}, T(1), dp_.data());
    this->drop(dp_);
    for (int64_t row = 0; row < rows; ++row)
      score_gradient_row(dp_.data() + row * keys, scores.data() + row * keys,
                         dot(dp_.data() + row * keys, scores.data() + row * keys, keys), keys);
    if (this->options().score_cap > 0)
      for (size_t i = 0; i < dp_.size(); ++i) dp_[i] *= slope_[i];
    const T scale = static_cast<T>(this->options().scale);
    dq.resize(rows * k);
    dk.resize(keys * k);
    product<T>({dp_.data(), rows, keys}, {this->key.data(), keys, k}, scale, dq.data());
    product<T>({dp_.data(), keys, rows, true}, {this->query.data(), rows, k}, scale, dk.data());
  }

  std::vector<T> dq, dk, dv;

 private:
  std::vector<T> d_, dropped_, dp_, slope_;
};

template <class C>
void backward_tiles(const AttentionCall& call, const at::Tensor& d_out, const at::Tensor& lse, const Gradients<C>& to) {
  using T = arithmetic_t<C>;
  const Shape& shape = call.shape;
  const at::Tensor d_heads = d_out.view({shape.queries, shape.heads, shape.k});
  const T* statistics = lse.const_data_ptr<T>();
  PrefixSums<T> prefix(call.spans, shape.kv_heads * shape.k);
  at::parallel_for(0, static_cast<int64_t>(call.spans.size()) * shape.kv_heads, 1, [&](int64_t begin, int64_t end) {
    BackwardTile<C> tile(call);
    for (int64_t task = begin; task < end; ++task) {
      const AttentionSpan& span = call.spans[task / shape.kv_heads];
      const int64_t kv_head = task % shape.kv_heads;
      tile.load_span(span, kv_head);
      tile.run(shape, heads_of<C>(d_heads), statistics);
      tile.scatter(tile.dq, to.dq);
      write_key_gradients<C>(span, kv_head, KeyGradients<T>{tile.dk.data(), tile.dv.data(), shape.k}, to, prefix,
                             [](const T* from, C* row, int64_t k) { convert_out(from, row, k); });
    }
  });
  add_prefix_sums<C>(prefix, shape.k, to.dk, to.dv);
}

void untiled_attention_backward(const AttentionCall& call, const at::Tensor& d_out, const at::Tensor& lse, const at::Tensor& dq,
                                const at::Tensor& dk, const at::Tensor& dv) {
  dispatch(call.in.q.scalar_type(), "attention_backward", [&]<class C>(C) {
    backward_tiles<C>(call, d_out, lse, {mutable_heads_of<C>(dq), mutable_heads_of<C>(dk), mutable_heads_of<C>(dv)});
  });
}

}  // namespace

at::Tensor attention(const AttentionInputs& in, const std::vector<AttentionSpan>& spans, const AttentionOptions& options,
                     at::Tensor* lse) {
  const AttentionCall call{in, spans, options};
  const Shape& shape = call.shape;
  at::Tensor out = at::empty({shape.queries, shape.heads * shape.k}, in.q.options());
  at::Tensor statistics = at::empty({shape.heads, shape.queries}, in.q.options().dtype(arithmetic_type(in.q.scalar_type())));
  if (tileable(in.q))
    tiled_attention(call, out, statistics);
  else
    dispatch(in.q.scalar_type(), "attention", [&]<class C>(C) { forward_tiles<C>(call, out, statistics); });
  if (lse != nullptr) *lse = statistics;
  return out;
}

void attention_backward(const at::Tensor& d_out, const at::Tensor& lse, const AttentionInputs& in,
                        const std::vector<AttentionSpan>& spans, const AttentionOptions& options, const AttentionGradients& to) {
  const AttentionCall call{in, spans, options};
  if (tileable(in.q)) return tiled_attention_backward(call, d_out, lse, to);
  if (in.memory == nullptr) return untiled_attention_backward(call, d_out, lse, to.q, to.k, to.v);
  // Zeros, as keys of a sequence without queries stand in no span.
  const at::Tensor d_keys = at::zeros_like(in.k), d_values = at::zeros_like(in.v);
  untiled_attention_backward(call, d_out, lse, to.q, d_keys, d_values);
  at::Tensor sum = to.memory;
  sum += d_keys.squeeze(1);
  sum += d_values.squeeze(1);
}

}  // namespace dept::kernels::cpu
