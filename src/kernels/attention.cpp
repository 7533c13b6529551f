#include "dept/kernels/attention.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "dept/kernels/dropout.h"
#include "kernels/attention_parts.h"
#include "kernels/simd.h"

// The BLAS that LibTorch carries; column-major, Fortran's calling convention.
extern "C" {
void sgemm_(const char*, const char*, const int*, const int*, const int*, const float*, const float*, const int*, const float*,
            const int*, const float*, float*, const int*);
void dgemm_(const char*, const char*, const int*, const int*, const int*, const double*, const double*, const int*, const double*,
            const int*, const double*, double*, const int*);
}

namespace dept::kernels {
namespace {

void blas_gemm(const char* ta, const char* tb, int m, int n, int k, float alpha, const float* a, int lda, const float* b, int ldb,
               float beta, float* c, int ldc) {
  sgemm_(ta, tb, &m, &n, &k, &alpha, a, &lda, b, &ldb, &beta, c, &ldc);
}
void blas_gemm(const char* ta, const char* tb, int m, int n, int k, double alpha, const double* a, int lda, const double* b,
               int ldb, double beta, double* c, int ldc) {
  dgemm_(ta, tb, &m, &n, &k, &alpha, a, &lda, b, &ldb, &beta, c, &ldc);
}

// Row-major contiguous products: c[m, n] = alpha * a b, with a [m, k] or its transpose stored, b [k, n] or its transpose stored.
template <class T>
void product(bool a_transposed, bool b_transposed, int64_t m, int64_t n, int64_t k, T alpha, const T* a, const T* b, T* c) {
  blas_gemm(b_transposed ? "T" : "N", a_transposed ? "T" : "N", static_cast<int>(n), static_cast<int>(m), static_cast<int>(k),
            alpha, b, static_cast<int>(b_transposed ? k : n), a, static_cast<int>(a_transposed ? m : k), T(0), c,
            static_cast<int>(n));
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

Shape check(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const AttentionOptions& options) {
  for (const at::Tensor* x : {&q, &k, &v})
    expect(x->dim() == 3 && x->stride(2) == 1 && x->stride(1) == x->size(2) && x->scalar_type() == q.scalar_type(), "attention",
           "[N, heads, K] with contiguous heads, one dtype", *x);
  expect(k.sizes() == v.sizes() && k.size(2) == q.size(2) && q.size(1) % k.size(1) == 0, "attention",
         "k and v alike, heads a multiple", k);
  if (options.relative_bias.defined())
    expect(
        options.relative_bias.dim() == 2 && options.relative_bias.size(0) == q.size(1) && options.relative_bias.is_contiguous(),
        "attention", "relative_bias [H, 2R + 1]", options.relative_bias);
  return {q.size(1), k.size(1), q.size(2), q.size(0)};
}

// The same of a backward pass.
Shape check(const at::Tensor& d_out, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
            const AttentionOptions& options) {
  const Shape shape = check(q, k, v, options);
  expect(d_out.sizes() == at::IntArrayRef({shape.queries, shape.heads * shape.k}) && d_out.is_contiguous() &&
             d_out.scalar_type() == q.scalar_type(),
         "attention_backward", "d_out like what attention returned", d_out);
  return shape;
}

// One span and one key/value head with its group of query heads, gathered into contiguous arithmetic-type scratch.
template <class C>
class Tile {
 public:
  using T = arithmetic_t<C>;

  Tile(const Shape& shape, const AttentionOptions& options) : shape_(shape), options_(options) {
    if (options.relative_bias.defined()) bias_reach_ = options.relative_bias.size(1) / 2;
  }

  void load_span(const AttentionSpan& span, int64_t kv_head, Heads<const C> q, Heads<const C> k, Heads<const C> v) {
    span_ = span;
    kv_head_ = kv_head;
    keys_ = span.prefix_length + span.k_length;
    rows_ = shape_.group() * span.q_length;
    key.resize(keys_ * shape_.k);
    value.resize(keys_ * shape_.k);
    query.resize(rows_ * shape_.k);
    scores.resize(rows_ * keys_);
    for (int64_t j = 0; j < keys_; ++j) {
      convert_in(k.at(key_row(span, j), kv_head), key.data() + j * shape_.k, shape_.k);
      convert_in(v.at(key_row(span, j), kv_head), value.data() + j * shape_.k, shape_.k);
    }
    gather(q, query);
  }

  int64_t keys() const { return keys_; }
  int64_t rows() const { return rows_; }
  int64_t head(int64_t row) const { return kv_head_ * shape_.group() + row / span_.q_length; }
  int64_t query_row(int64_t row) const { return span_.q_begin + row % span_.q_length; }
  /// Keys that a row sees.
  int64_t visible(int64_t row) const { return options_.causal ? keys_ - span_.q_length + row % span_.q_length + 1 : keys_; }

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

  /// scores = scale * q k^T + bias
  void compute_scores() {
    product<T>(false, true, rows_, keys_, shape_.k, static_cast<T>(options_.scale), query.data(), key.data(), scores.data());
    if (bias_reach_ < 0) return;
    const int64_t offset = keys_ - span_.q_length;  // queries are the last tokens of the keys in self-attention
    for (int64_t row = 0; row < rows_; ++row) {
      const int64_t position = (options_.causal ? offset : 0) + row % span_.q_length;
      const T* bias = options_.relative_bias.const_data_ptr<T>() + head(row) * (2 * bias_reach_ + 1) + bias_reach_ - position;
      T* s = scores.data() + row * keys_;
      for (int64_t j = 0; j < keys_; ++j) s[j] += bias[j];
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
  const Shape& shape_;
  const AttentionOptions& options_;
  AttentionSpan span_{};
  int64_t kv_head_ = 0, keys_ = 0, rows_ = 0, bias_reach_ = -1;
  std::vector<uint16_t> numbers_;
};

template <class C>
void forward_tiles(const Shape& shape, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                   const std::vector<AttentionSpan>& spans, const AttentionOptions& options, at::Tensor& out, at::Tensor& lse) {
  using T = arithmetic_t<C>;
  at::Tensor out_heads = out.view({shape.queries, shape.heads, shape.k});
  T* statistics = lse.mutable_data_ptr<T>();
  at::parallel_for(0, static_cast<int64_t>(spans.size()) * shape.kv_heads, 1, [&](int64_t begin, int64_t end) {
    Tile<C> tile(shape, options);
    std::vector<T> result;
    for (int64_t task = begin; task < end; ++task) {
      tile.load_span(spans[task / shape.kv_heads], task % shape.kv_heads, heads_of<C>(q), heads_of<C>(k), heads_of<C>(v));
      tile.compute_scores();
      for (int64_t row = 0; row < tile.rows(); ++row)
        statistics[tile.head(row) * shape.queries + tile.query_row(row)] =
            softmax_row(tile.scores.data() + row * tile.keys(), tile.visible(row), tile.keys());
      tile.drop(tile.scores);
      result.resize(tile.rows() * shape.k);
      product<T>(false, false, tile.rows(), shape.k, tile.keys(), T(1), tile.scores.data(), tile.value.data(), result.data());
      tile.scatter(result, mutable_heads_of<C>(out_heads));
    }
  });
}

template <class C>
void backward_tiles(const Shape& shape, const at::Tensor& d_out, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                    const at::Tensor& lse, const std::vector<AttentionSpan>& spans, const AttentionOptions& options,
                    const Gradients<C>& gradients) {
  using T = arithmetic_t<C>;
  const at::Tensor d_heads = d_out.view({shape.queries, shape.heads, shape.k});
  const T* statistics = lse.const_data_ptr<T>();
  PrefixSums<T> prefix(spans, shape.kv_heads * shape.k);
  at::parallel_for(0, static_cast<int64_t>(spans.size()) * shape.kv_heads, 1, [&](int64_t begin, int64_t end) {
    Tile<C> tile(shape, options);
    std::vector<T> d, dp, p_dropped, dq, dk, dv;
    for (int64_t task = begin; task < end; ++task) {
      const AttentionSpan& span = spans[task / shape.kv_heads];
      const int64_t kv_head = task % shape.kv_heads, rows_k = shape.k;
      tile.load_span(span, kv_head, heads_of<C>(q), heads_of<C>(k), heads_of<C>(v));
      const int64_t rows = tile.rows(), keys = tile.keys();
      tile.compute_scores();
      for (int64_t row = 0; row < rows; ++row)
        probability_row(tile.scores.data() + row * keys, statistics[tile.head(row) * shape.queries + tile.query_row(row)],
                        tile.visible(row), keys);
      tile.gather(heads_of<C>(d_heads), d);
      p_dropped = tile.scores;
      tile.drop(p_dropped);
      dv.resize(keys * rows_k);
      product<T>(true, false, keys, rows_k, rows, T(1), p_dropped.data(), d.data(), dv.data());
      dp.resize(rows * keys);
      product<T>(false, true, rows, keys, rows_k, T(1), d.data(), tile.value.data(), dp.data());
      tile.drop(dp);
      for (int64_t row = 0; row < rows; ++row)
        score_gradient_row(dp.data() + row * keys, tile.scores.data() + row * keys,
                           dot(dp.data() + row * keys, tile.scores.data() + row * keys, keys), keys);
      const T scale = static_cast<T>(options.scale);
      dq.resize(rows * rows_k);
      dk.resize(keys * rows_k);
      product<T>(false, false, rows, rows_k, keys, scale, dp.data(), tile.key.data(), dq.data());
      product<T>(true, false, keys, rows_k, rows, scale, dp.data(), tile.query.data(), dk.data());
      tile.scatter(dq, gradients.dq);
      write_key_gradients<C>(span, kv_head, rows_k, dk.data(), dv.data(), gradients, prefix,
                             [](const T* from, C* to, int64_t k) { convert_out(from, to, k); });
    }
  });
  add_prefix_sums<C>(prefix, shape.k, gradients.dk, gradients.dv);
}

}  // namespace

std::vector<AttentionSpan> self_attention_spans(const Ragged& tokens) {
  std::vector<AttentionSpan> spans;
  for (int64_t b = 0; b < tokens.batch(); ++b) {
    AttentionSpan span{tokens.offsets[b], tokens.length(b), tokens.offsets[b], tokens.length(b)};
    span.sequence = b;
    if (const int64_t p = tokens.prefix[b]; p >= 0) {
      span.prefix_begin = tokens.offsets[p];
      span.prefix_length = tokens.length(p);
    }
    if (!tokens.outside.empty() && tokens.outside[b]) {  // one token a sequence
      span.k_begin = std::exchange(span.prefix_begin, 0);
      span.k_length = std::exchange(span.prefix_length, 0);
    }
    if (span.q_length > 0) spans.push_back(span);
  }
  return spans;
}

std::vector<AttentionSpan> cross_attention_spans(const Ragged& queries, const Ragged& keys) {
  std::vector<AttentionSpan> spans;
  for (int64_t b = 0; b < queries.batch(); ++b) {
    AttentionSpan span{queries.offsets[b], queries.length(b), keys.offsets[b], keys.length(b)};
    span.sequence = b;
    if (span.q_length > 0) spans.push_back(span);
  }
  return spans;
}

namespace {

at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const AttentionMemory* memory,
                  const std::vector<AttentionSpan>& spans, const AttentionOptions& options, at::Tensor* lse) {
  const Shape shape = check(q, k, v, options);
  at::Tensor out = at::empty({shape.queries, shape.heads * shape.k}, q.options());
  at::Tensor statistics =
      at::empty({shape.heads, shape.queries}, q.options().dtype(q.scalar_type() == at::kDouble ? at::kDouble : at::kFloat));
  if (tileable(q))
    tiled_attention(shape, q, k, v, memory, spans, options, out, statistics);
  else
    dispatch(q.scalar_type(), "attention",
             [&]<class C>(C) { forward_tiles<C>(shape, q, k, v, spans, options, out, statistics); });
  if (lse != nullptr) *lse = statistics;
  return out;
}

}  // namespace

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const std::vector<AttentionSpan>& spans,
                     const AttentionOptions& options, at::Tensor* lse) {
  return attend(q, k, v, nullptr, spans, options, lse);
}

at::Tensor attention(const at::Tensor& q, const AttentionMemory& memory, const std::vector<AttentionSpan>& spans,
                     const AttentionOptions& options, at::Tensor* lse) {
  return attend(q, memory.x, memory.x, &memory, spans, options, lse);
}

AttentionMemory attention_memory(const at::Tensor& x, const Ragged& tokens) {
  expect(x.dim() == 2 && x.is_contiguous() && x.size(0) == tokens.tokens(), "attention_memory",
         dept::str("contiguous [", tokens.tokens(), ", K]"), x);
  AttentionMemory memory{x.unsqueeze(1), {}, {}, {}};
  if (tileable(memory.x)) pack_memory(tokens, memory);
  return memory;
}

void attention_backward(const at::Tensor& d_out, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                        const at::Tensor& lse, const std::vector<AttentionSpan>& spans, const AttentionOptions& options,
                        at::Tensor& dq, at::Tensor& dk, at::Tensor& dv) {
  const Shape shape = check(d_out, q, k, v, options);
  if (tileable(q))
    return tiled_attention_backward(
        shape, d_out, q, k, v, lse, spans, options,
        {mutable_heads_of<c10::BFloat16>(dq), mutable_heads_of<c10::BFloat16>(dk), mutable_heads_of<c10::BFloat16>(dv)});
  dispatch(q.scalar_type(), "attention_backward", [&]<class C>(C) {
    backward_tiles<C>(shape, d_out, q, k, v, lse, spans, options,
                      {mutable_heads_of<C>(dq), mutable_heads_of<C>(dk), mutable_heads_of<C>(dv)});
  });
}

void attention_backward(const at::Tensor& d_out, const at::Tensor& q, const AttentionMemory& memory, const at::Tensor& lse,
                        const std::vector<AttentionSpan>& spans, const AttentionOptions& options, at::Tensor& dq,
                        at::Tensor& dx) {
  const at::Tensor& x = memory.x;
  if (tileable(q)) return tiled_attention_backward(check(d_out, q, x, x, options), d_out, q, memory, lse, spans, options, dq, dx);
  at::Tensor d_keys = at::empty_like(x), d_values = at::empty_like(x);
  attention_backward(d_out, q, x, x, lse, spans, options, dq, d_keys, d_values);
  dx += d_keys.squeeze(1);
  dx += d_values.squeeze(1);
}

}  // namespace dept::kernels
