// Ragged attention in bf16 on tensor cores (dept/kernels/attention.h): a block has 64 queries of one span and head, or 64 keys of
// one head, and goes over the others tile by tile. Statistics and sums are fp32. Forward passes over the keys twice, first for
// each row's log-sum-exp; so nothing is rescaled on the way. No atomics: the same bytes each time.
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "kernels/cuda/attention_tiles.cuh"
#include "kernels/cuda/table.h"
#include "kernels/operators.h"
#include "kernels/origin.h"

namespace dept::kernels::cuda {
namespace {

// Tiles of keys [key, ..) of a span, and of values where they are wanted, for the whole block.
template <int K, bool with_values>
__device__ void load_keys(const Parameters& o, const AttentionSpan& span, int head, int64_t key, Shared<K>& m) {
  const int count = in_tile(keys_of(span) - key);
  const auto row = [&](int r) { return row_of_key(span, key + r); };
  __syncthreads();
  load_rows<K>(o.k, head, count, row, m.keys);
  if (with_values) load_rows<K>(o.v, head, count, row, m.values);
  __syncthreads();
}

// Each row's log-sum-exp over all its keys, for both threads of the row.
template <int K>
__device__ float log_sum(const Parameters& o, const AttentionSpan& span, int kv_head, const Half& half, Shared<K>& m) {
  float top = -INFINITY, sum = 0;
  for (int64_t key = 0; key < keys_of(span); key += tile) {
    load_keys<K, false>(o, span, kv_head, key, m);
    multiply<K>(m.q, m.keys, m.s);
    float best = top, more = 0;
    for (int c = half.begin; c < half.end; ++c)
      if (half.sees(key + c)) best = fmaxf(best, half.score(m.s[half.row * ld_s + c], key + c));
    best = fmaxf(best, with_other_half(best));
    const float base = best == -INFINITY ? 0.0F : best;
    for (int c = half.begin; c < half.end; ++c)
      if (half.sees(key + c)) more += expf(half.score(m.s[half.row * ld_s + c], key + c) - base);
    sum = sum * expf(top - base) + more + with_other_half(more);
    top = best;
  }
  return top + logf(sum);
}

template <int K>
__global__ void __launch_bounds__(attention_threads) forward(Parameters o) {
  extern __shared__ __align__(128) char raw[];
  Shared<K>& m = *reinterpret_cast<Shared<K>*>(raw);
  const AttentionSpan span = o.spans[blockIdx.x];
  const int head = static_cast<int>(blockIdx.y), kv_head = head / o.group;
  const int64_t first = static_cast<int64_t>(blockIdx.z) * tile;
  if (first >= span.q_length) return;
  const int rows = in_tile(span.q_length - first);
  load_rows<K>(
      o.q, head, rows, [&](int r) { return span.q_begin + first + r; }, m.q);
  Half half(o, span, head, first);
  const float lse = log_sum<K>(o, span, kv_head, half, m);
  if (o.lse != nullptr && half.real() && half.begin == 0) o.lse[half.place(span)] = lse;
  Sum<K> out;
  for (int64_t key = 0; key < keys_of(span); key += tile) {
    load_keys<K, true>(o, span, kv_head, key, m);
    multiply<K>(m.q, m.keys, m.s);
    for (int c = half.begin; c < half.end; ++c) {
      float p = 0;
      if (half.sees(key + c)) p = expf(half.score(m.s[half.row * ld_s + c], key + c) - lse) * half.factor(key + c);
      m.p[half.row * ld_p + c] = __float2bfloat16(p);
    }
    __syncwarp();
    out.add(m.p, m.values);
  }
  out.write(m.s, o.out, head, span.q_begin + first, rows);
}

// From the products in m.s and m.dp, for this warp's rows and the first `count` keys from `key` on: dropout(p) in m.p, the
// gradient of q k in m.ds. Returns this thread's part of its row's sum of p dp, which is what `delta` is of all keys.
template <int K>
__device__ float gradients(Shared<K>& m, Half& half, int64_t key, int count, float lse, float delta, float scale) {
  float sum = 0;
  for (int c = half.begin; c < half.end; ++c) {
    float p = 0, factor = 0, dp = 0;
    if (c < count && half.sees(key + c)) {
      p = expf(half.score(m.s[half.row * ld_s + c], key + c) - lse);
      factor = half.factor(key + c);
      dp = m.dp[half.row * ld_s + c] * factor;
    }
    sum += p * dp;
    m.p[half.row * ld_p + c] = __float2bfloat16(p * factor);
    m.ds[half.row * ld_p + c] = __float2bfloat16(p * (dp - delta) * scale);
  }
  __syncwarp();
  return sum;
}

// dq of 64 queries, and their delta for backward_keys.
template <int K>
__global__ void __launch_bounds__(attention_threads) backward_queries(Parameters o) {
  extern __shared__ __align__(128) char raw[];
  Shared<K>& m = *reinterpret_cast<Shared<K>*>(raw);
  const AttentionSpan span = o.spans[blockIdx.x];
  const int head = static_cast<int>(blockIdx.y), kv_head = head / o.group;
  const int64_t first = static_cast<int64_t>(blockIdx.z) * tile;
  if (first >= span.q_length) return;
  const int rows = in_tile(span.q_length - first);
  const auto row = [&](int r) { return span.q_begin + first + r; };
  load_rows<K>(o.q, head, rows, row, m.q);
  load_rows<K>(o.d_out, head, rows, row, m.d);
  Half half(o, span, head, first);
  const float lse = half.real() ? o.lse[half.place(span)] : 0.0F;
  float delta = 0;
  Sum<K> dq;
  for (int pass = 0; pass < 2; ++pass) {
    float sum = 0;
    for (int64_t key = 0; key < keys_of(span); key += tile) {
      load_keys<K, true>(o, span, kv_head, key, m);
      multiply<K>(m.q, m.keys, m.s);
      multiply<K>(m.d, m.values, m.dp);
      sum += gradients<K>(m, half, key, tile, lse, delta, o.scale);
      if (pass == 1) dq.add(m.ds, m.keys);
    }
    if (pass == 0) delta = sum + with_other_half(sum);
  }
  if (half.real() && half.begin == 0) o.delta[half.place(span)] = delta;
  dq.write(m.s, o.dq, head, span.q_begin + first, rows);
}

// dk and dv of 64 rows of keys: sums over all spans that read them, over the query heads of the group, and over the queries.
template <int K>
__global__ void __launch_bounds__(attention_threads) backward_keys(Parameters o) {
  extern __shared__ __align__(128) char raw[];
  Shared<K>& m = *reinterpret_cast<Shared<K>*>(raw);
  const KeyRows mine = o.key_rows[blockIdx.x];
  const int kv_head = static_cast<int>(blockIdx.y);
  const int64_t first_key = static_cast<int64_t>(blockIdx.z) * tile;
  if (first_key >= mine.length) return;
  const int keys = in_tile(mine.length - first_key);
  const auto key_row = [&](int r) { return mine.begin + first_key + r; };
  load_rows<K>(o.k, kv_head, keys, key_row, m.keys);
  load_rows<K>(o.v, kv_head, keys, key_row, m.values);
  Sum<K> dk, dv;
  for (int64_t r = mine.first_reader; r < mine.first_reader + mine.readers; ++r) {
    const AttentionSpan span = o.spans[o.readers[r].span];
    const int64_t key = o.readers[r].first + first_key;
    for (int head = kv_head * o.group; head < (kv_head + 1) * o.group; ++head) {
      for (int64_t first = 0; first < span.q_length; first += tile) {
        const int rows = in_tile(span.q_length - first);
        const auto row = [&](int i) { return span.q_begin + first + i; };
        __syncthreads();
        load_rows<K>(o.q, head, rows, row, m.q);
        load_rows<K>(o.d_out, head, rows, row, m.d);
        __syncthreads();
        Half half(o, span, head, first);
        const float lse = half.real() ? o.lse[half.place(span)] : 0.0F;
        const float delta = half.real() ? o.delta[half.place(span)] : 0.0F;
        multiply<K>(m.q, m.keys, m.s);
        multiply<K>(m.d, m.values, m.dp);
        gradients<K>(m, half, key, keys, lse, delta, o.scale);
        __syncthreads();
        dv.add_transposed(m.p, m.d);
        dk.add_transposed(m.ds, m.q);
      }
    }
  }
  dk.write(m.s, o.dk, kv_head, mine.begin + first_key, keys);
  dv.write(m.dp, o.dv, kv_head, mine.begin + first_key, keys);
}

template <class T>
Rows<T> rows_of(const at::Tensor& x) {
  return {static_cast<T*>(const_cast<void*>(x.const_data_ptr())), x.stride(0)};
}

unsigned tiles(int64_t length) {
  return static_cast<unsigned>((length + tile - 1) / tile);
}

int64_t longest_queries(const std::vector<AttentionSpan>& spans) {
  int64_t most = 0;
  for (const AttentionSpan& span : spans) most = std::max(most, span.q_length);
  return most;
}

// Rows of q that no span names are left out by the kernels.
bool all_queries_are_named(const std::vector<AttentionSpan>& spans, int64_t queries) {
  int64_t named = 0;
  for (const AttentionSpan& span : spans) named += span.q_length;
  return named == queries;
}

std::vector<Stream> streams_of(const std::vector<DropoutStream>& streams) {
  std::vector<Stream> all;
  for (const DropoutStream& stream : streams) all.push_back(stream_of(stream));
  if (all.empty()) all.push_back({});
  return all;
}

// The kernels' parameters with the tables that they point into.
struct Call {
  Table<AttentionSpan> spans;
  Table<Stream> streams;
  Parameters o{};

  Call(const AttentionInputs& in, const std::vector<AttentionSpan>& list, const AttentionOptions& options)
      : Call(in, list, options, AttentionOrigin(list, options)) {}
  Call(const AttentionInputs& in, const std::vector<AttentionSpan>& list, const AttentionOptions& options,
       const AttentionOrigin& origin)
      : spans(list, in.q.device(), [origin](const StepBatch& now) { return origin.spans(now); }),
        streams(streams_of(options.streams), in.q.device(),
                [origin](const StepBatch& now) { return streams_of(origin.streams(now)); }) {
    o.q = rows_of<const bf16>(in.q);
    o.k = rows_of<const bf16>(in.k);
    o.v = rows_of<const bf16>(in.v);
    o.queries = in.q.size(0);
    o.group = static_cast<int>(in.q.size(1) / in.k.size(1));
    o.spans = spans.data();
    o.streams = streams.data();
    if (options.relative_bias.defined()) {
      o.bias = options.relative_bias.const_data_ptr<float>();
      o.reach = options.relative_bias.size(1) / 2;
    }
    o.scale = static_cast<float>(options.scale);
    o.causal = options.causal;
    o.threshold = options.dropout > 0 ? dropout_threshold(options.dropout) : 0;
    o.kept_scale = options.dropout > 0 ? static_cast<float>(dropout_scale(options.dropout)) : 1.0F;
  }
};

template <int K>
void launch_forward(const Parameters& o, dim3 grid) {
  C10_CUDA_CHECK(cudaFuncSetAttribute(forward<K>, cudaFuncAttributeMaxDynamicSharedMemorySize, sizeof(Shared<K>)));
  forward<K><<<grid, attention_threads, sizeof(Shared<K>), c10::cuda::getCurrentCUDAStream()>>>(o);
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

template <int K>
void launch_backward(const Parameters& o, dim3 by_query, dim3 by_key) {
  C10_CUDA_CHECK(cudaFuncSetAttribute(backward_queries<K>, cudaFuncAttributeMaxDynamicSharedMemorySize, sizeof(Shared<K>)));
  C10_CUDA_CHECK(cudaFuncSetAttribute(backward_keys<K>, cudaFuncAttributeMaxDynamicSharedMemorySize, sizeof(Shared<K>)));
  backward_queries<K><<<by_query, attention_threads, sizeof(Shared<K>), c10::cuda::getCurrentCUDAStream()>>>(o);
  C10_CUDA_KERNEL_LAUNCH_CHECK();
  if (by_key.x == 0) return;
  backward_keys<K><<<by_key, attention_threads, sizeof(Shared<K>), c10::cuda::getCurrentCUDAStream()>>>(o);
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace

at::Tensor attention(const AttentionInputs& in, const std::vector<AttentionSpan>& spans, const AttentionOptions& options,
                     at::Tensor* lse) {
  const c10::cuda::CUDAGuard guard(in.q.device());
  const int64_t queries = in.q.size(0), heads = in.q.size(1), K = in.q.size(2);
  const bool all = all_queries_are_named(spans, queries);
  const auto made = [&](at::IntArrayRef shape, const at::TensorOptions& type) {
    return all ? at::empty(shape, type) : at::zeros(shape, type);
  };
  at::Tensor out = made({queries, heads * K}, in.q.options());
  if (lse != nullptr) *lse = made({heads, queries}, in.q.options().dtype(at::kFloat));
  const dim3 grid(static_cast<unsigned>(spans.size()), static_cast<unsigned>(heads), tiles(longest_queries(spans)));
  if (spans.empty() || grid.z == 0) return out;
  Call call(in, spans, options);
  call.o.out = rows_of<bf16>(out);
  call.o.lse = lse != nullptr ? lse->mutable_data_ptr<float>() : nullptr;
  if (K == 64)
    launch_forward<64>(call.o, grid);
  else
    launch_forward<128>(call.o, grid);
  return out;
}

void attention_backward(const at::Tensor& d_out, const at::Tensor& lse, const AttentionInputs& in,
                        const std::vector<AttentionSpan>& spans, const AttentionOptions& options, const AttentionGradients& to) {
  const c10::cuda::CUDAGuard guard(in.q.device());
  const int64_t queries = in.q.size(0), heads = in.q.size(1), K = in.q.size(2);
  if (!all_queries_are_named(spans, queries)) at::Tensor(to.q).zero_();
  const dim3 by_query(static_cast<unsigned>(spans.size()), static_cast<unsigned>(heads), tiles(longest_queries(spans)));
  if (spans.empty() || by_query.z == 0) return;
  const KeyTable keys(spans);
  const auto again = [origin = AttentionOrigin(spans, options)](const StepBatch& now) { return KeyTable(origin.spans(now)); };
  const Table<KeyRows> key_rows(keys.rows, in.q.device(), [again](const StepBatch& now) { return again(now).rows; });
  const Table<Reader> readers(keys.readers, in.q.device(), [again](const StepBatch& now) { return again(now).readers; });
  const dim3 by_key(static_cast<unsigned>(keys.rows.size()), static_cast<unsigned>(in.k.size(1)), tiles(keys.longest()));
  const at::Tensor delta = at::empty({heads, queries}, lse.options());
  Call call(in, spans, options);
  call.o.d_out = rows_of<const bf16>(d_out);
  call.o.dq = rows_of<bf16>(to.q);
  call.o.dk = rows_of<bf16>(to.k);
  call.o.dv = rows_of<bf16>(to.v);
  call.o.lse = const_cast<float*>(lse.const_data_ptr<float>());
  call.o.delta = delta.mutable_data_ptr<float>();
  call.o.key_rows = key_rows.data();
  call.o.readers = readers.data();
  if (K == 64)
    launch_backward<64>(call.o, by_query, by_key);
  else
    launch_backward<128>(call.o, by_query, by_key);
}

}  // namespace dept::kernels::cuda
