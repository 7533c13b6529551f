// Ragged attention in bf16 by packed products: scores, probabilities and their gradients in fp32, one block of query rows of one
// span and key/value head after the other, all in the nearest caches. Padding exists in a thread's scratch only.
#include <ATen/ops/empty.h>

#include "dept/kernels/dropout.h"
#include "kernels/cpu/attention_packing.h"
#include "kernels/cpu/attention_parts.h"
#include "kernels/cpu/attention_rows.h"
#include "kernels/cpu/panel_product.h"
#include "kernels/visible_keys.h"

namespace dept::kernels {
namespace {

using avx512::lanes;
using c10::BFloat16;

constexpr int64_t block_rows = 64;

// Rows of bf16 numbers, `ld` apart.
struct Rows {
  const BFloat16* data;
  int64_t count, ld;
};
struct Sums {
  float* data;
  int64_t ld;
  bool add = false;
};

// sums [rows, n] (+)= rows [.., k] b, b packed panels of depth k; n a multiple of 16.
void product(const Rows& rows, int64_t k, const BFloat16* b, int64_t n, const Sums& sums) {
  PanelProduct<float> task;
  task.rows = rows.count;
  task.steps = k * int64_t{sizeof(BFloat16)} / step_bytes;
  task.left = {rows.data, rows.ld * int64_t{sizeof(BFloat16)}, step_bytes};
  task.ldc = sums.ld;
  task.add = sums.add;
  for (int64_t column = 0; column < n; column += panel_columns) {
    task.columns = std::min(panel_columns, n - column);
    task.panel = b + column * k;
    task.c = sums.data + column;
    panel_product(task);
  }
}

// Strides of a thread's scratch: few values, since every one makes kernels of its own, and none a power of two.
int64_t scratch_stride(int64_t columns) {
  int64_t stride = 128;
  while (stride < columns) stride *= 2;
  return stride + 32;
}

// One span and key/value head with its group of query heads.
class Tiles {
 public:
  explicit Tiles(const AttentionCall& call)
      : shape_(call.shape),
        options_(call.options),
        q_(heads_of<BFloat16>(call.in.q)),
        k_(heads_of<BFloat16>(call.in.k)),
        v_(heads_of<BFloat16>(call.in.v)),
        memory_(call.in.memory) {}

  int64_t rows() const { return rows_; }
  int64_t head(int64_t row) const { return kv_head_ * shape_.group() + row / span_->q_length; }
  int64_t query_row(int64_t row) const { return span_->q_begin + row % span_->q_length; }
  VisibleKeys visible(int64_t row) const { return visible_keys(*span_, options_, row % span_->q_length); }
  auto key() const {
    return [this](int64_t j) { return k_.at(key_row(*span_, j), kv_head_); };
  }
  auto value() const {
    return [this](int64_t j) { return v_.at(key_row(*span_, j), kv_head_); };
  }
  // Rows of [N, H, K] that belong to the tile.
  auto rows_of(Heads<const BFloat16> x, int64_t first = 0) const {
    return [this, x, first](int64_t row) { return x.at(query_row(first + row), head(first + row)); };
  }

  template <class T>
  static T* room(std::vector<T>& scratch, int64_t count) {
    if (static_cast<int64_t>(scratch.size()) < count) scratch.resize(count);
    return scratch.data();
  }

  void take(const AttentionSpan& span, int64_t kv_head) {
    span_ = &span;
    kv_head_ = kv_head;
    keys_ = span.prefix_length + span.k_length;
    rows_ = shape_.group() * span.q_length;
    stride_ = scratch_stride(round_up(keys_, panel_columns));
    keys_transposed_ = memory_ != nullptr ? of_memory(memory_->keys) : pack_transposed(key(), keys_scratch_);
  }

  template <class Row>
  const BFloat16* pack_transposed(Row&& row, std::vector<BFloat16>& scratch) const {
    BFloat16* to = room(scratch, round_up(keys_, panel_columns) * shape_.k);
    pack_transposed_rows(keys_, shape_.k, to, row);
    return to;
  }
  // The keys' or values' rows as they lie, packed.
  template <class Row>
  const BFloat16* pack(Row&& row, std::vector<BFloat16>& scratch) const {
    if (memory_ != nullptr) return of_memory(memory_->values);
    const int64_t depth = round_up(keys_, 32);
    BFloat16* to = room(scratch, depth * shape_.k);
    pack_rows(keys_, depth, shape_.k, to, row);
    return to;
  }

  // A block of rows up to a multiple of 16, those beyond `count` anything. They are read where they lie, unless several heads are
  // taken at once, or there are no rows behind.
  Rows gather(Heads<const BFloat16> x, int64_t first, int64_t count, std::vector<BFloat16>& scratch) const {
    const int64_t k = shape_.k, padded = round_up(count, lanes);
    const auto row = rows_of(x, first);
    for (int64_t r = 0; r < count; ++r)
      for (int64_t c = 0; c < k; c += 32) next_head(row(r) + c, k);
    if (shape_.group() == 1 && query_row(first) + padded <= shape_.queries) return {row(0), padded, x.stride};
    BFloat16* to = room(scratch, block_rows * k);
    for (int64_t r = 0; r < count; ++r) std::copy_n(row(r), k, to + r * k);
    std::fill(to + count * k, to + padded * k, BFloat16(0));
    return {to, padded, k};
  }

  // The dropout's numbers of rows first .. first + count - 1, those of a head in one go.
  void draw(int64_t first, int64_t count) {
    if (options_.dropout <= 0) return;
    uint16_t* to = room(numbers_, count * keys_ + lanes);
    for (int64_t done = 0; done < count;) {
      const int64_t row = first + done, within = row % span_->q_length;
      const int64_t run = std::min(count - done, span_->q_length - within);
      dropout_numbers(options_.streams[span_->sequence], static_cast<uint64_t>(head(row) * span_->q_length + within) * keys_,
                      run * keys_, to + done * keys_);
      done += run;
    }
  }

  RowOptions options_of(int64_t first, int64_t r, int64_t width) {
    const int64_t row = first + r;
    const float* bias = nullptr;
    if (options_.relative_bias.defined() && row % span_->q_length < span_->q_length - span_->unbiased) {
      const int64_t reach = options_.relative_bias.size(1) / 2;
      const int64_t position = (options_.causal ? keys_ - span_->q_length : 0) + row % span_->q_length;
      bias = options_.relative_bias.const_data_ptr<float>() + head(row) * (2 * reach + 1) + reach - position;
    }
    const bool drops = options_.dropout > 0;
    const VisibleKeys seen = visible(row);
    return {seen.first,
            seen.end,
            width,
            static_cast<float>(options_.scale),
            static_cast<float>(options_.score_cap),
            options_.score_cap > 0 ? room(slopes_, stride_) : nullptr,
            bias,
            std::min(seen.end, keys_ - span_->unbiased),
            drops ? numbers_.data() + r * keys_ : nullptr,
            dropout_threshold(options_.dropout),
            static_cast<float>(drops ? dropout_scale(options_.dropout) : 1.0)};
  }

  // Columns that any row of a block sees, as wide as products take them.
  int64_t width(int64_t first, int64_t count) const {
    int64_t most = 0;
    for (int64_t r = 0; r < count; ++r) most = std::max(most, visible(first + r).end);
    return round_up(most, 32);
  }

 private:
  const BFloat16* of_memory(const at::Tensor& packed) const {
    return packed.const_data_ptr<BFloat16>() + memory_->first_panel[span_->k_begin] * shape_.k;
  }

 protected:
  const Shape& shape_;
  const AttentionOptions& options_;
  Heads<const BFloat16> q_, k_, v_;
  const AttentionMemory* memory_;
  const AttentionSpan* span_ = nullptr;
  int64_t kv_head_ = 0, keys_ = 0, rows_ = 0, stride_ = 0;
  const BFloat16* keys_transposed_ = nullptr;
  std::vector<BFloat16> keys_scratch_, queries_;
  std::vector<float> scores_, slopes_;
  std::vector<uint16_t> numbers_;
};

class ForwardTiles : public Tiles {
 public:
  using Tiles::Tiles;

  void run(Heads<BFloat16> out, float* lse) {
    const int64_t k = shape_.k, depth = round_up(keys_, 32);
    const BFloat16* values = pack(value(), values_);
    for (int64_t first = 0; first < rows_; first += block_rows) {
      const int64_t count = std::min(block_rows, rows_ - first), padded = round_up(count, lanes), seen = width(first, count);
      const Rows q = gather(q_, first, count, queries_);
      float* s = room(scores_, block_rows * stride_);
      BFloat16* p = room(probabilities_, block_rows * stride_);
      product(q, k, keys_transposed_, seen, {s, stride_});
      draw(first, count);
      for (int64_t r = 0; r < count; ++r)
        lse[head(first + r) * shape_.queries + query_row(first + r)] =
            softmax_row(s + r * stride_, options_of(first, r, depth), p + r * stride_);
      std::fill(p + count * stride_, p + padded * stride_, BFloat16(0));
      float* o = room(result_, block_rows * k);
      product({p, padded, stride_}, depth, values, k, {o, k});
      for (int64_t r = 0; r < count; ++r) write_row(o + r * k, out.at(query_row(first + r), head(first + r)), k);
    }
  }

 private:
  std::vector<BFloat16> values_, probabilities_;
  std::vector<float> result_;
};

class BackwardTiles : public Tiles {
 public:
  using Tiles::Tiles;

  void run(Heads<const BFloat16> d_out, const float* lse, const Gradients<BFloat16>& to, PrefixSums<float>& prefix) {
    const int64_t k = shape_.k, keys = round_up(keys_, 32);
    float *dk = room(dk_, keys * k), *dv = room(dv_, keys * k);
    for_blocks(d_out, lse, pack_transposed(value(), values_transposed_), to.dq, [&](const Block& block) {
      add_to_keys(scores_.data(), rows_of(d_out, block.first), block, block.first > 0, dv);
      add_to_keys(dp_.data(), rows_of(q_, block.first), block, block.first > 0, dk);
    });
    if (rows_ == 0) return;
    write_key_gradients<BFloat16>(*span_, kv_head_, KeyGradients<float>{dk, dv, k}, to, prefix, write_row);
  }

  // Of a memory: dx [Nk, k] gains the gradients of keys and values.
  void run(Heads<const BFloat16> d_out, const float* lse, Heads<BFloat16> dq, float* dx) {
    const int64_t k = shape_.k;
    float* sum = room(dv_, round_up(keys_, 32) * k);
    for_blocks(d_out, lse, keys_transposed_, dq, [&](const Block& block) {
      add_to_keys(scores_.data(), rows_of(d_out, block.first), block, block.first > 0, sum);
      add_to_keys(dp_.data(), rows_of(q_, block.first), block, true, sum);
    });
    if (rows_ == 0) return;
    for (int64_t j = 0; j < keys_; ++j) add_row(sum + j * k, dx + key_row(*span_, j) * k, k);
  }

 private:
  // Query rows first .. first + count - 1, with rows of zeros up to `padded`; depth: keys, likewise.
  struct Block {
    int64_t first, count, padded, depth;
  };

  // Calls sums(block) when scores_ and dp_ are those of a block, whose dq is written.
  template <class Sums>
  void for_blocks(Heads<const BFloat16> d_out, const float* lse, const BFloat16* values_transposed, Heads<BFloat16> to,
                  Sums&& sums) {
    const int64_t k = shape_.k, depth = round_up(keys_, 32);
    const BFloat16* keys_packed = pack(key(), keys_packed_);
    for (int64_t first = 0; first < rows_; first += block_rows) {
      const int64_t count = std::min(block_rows, rows_ - first);
      const Block block{first, count, round_up(count, 32), depth};
      score_gradients(block, d_out, lse, values_transposed);
      float* dq = room(dq_, block_rows * k);
      product({ds_.data(), round_up(count, lanes), stride_}, depth, keys_packed, k, {dq, k});
      for (int64_t r = 0; r < count; ++r) write_row(dq + r * k, to.at(query_row(first + r), head(first + r)), k);
      sums(block);
    }
  }

  // scores_ = dropout(p), dp_ = d loss / d (q k), ds_ the same in bf16, each [padded, stride_] with zeros beyond rows and keys.
  void score_gradients(const Block& block, Heads<const BFloat16> d_out, const float* lse, const BFloat16* values_transposed) {
    const auto [first, count, padded, depth] = block;
    const int64_t k = shape_.k, seen = width(first, count);
    float *s = room(scores_, block_rows * stride_), *dp = room(dp_, block_rows * stride_);
    BFloat16* ds = room(ds_, block_rows * stride_);
    const Rows q = gather(q_, first, count, queries_), d = gather(d_out, first, count, d_rows_);
    product(q, k, keys_transposed_, seen, {s, stride_});
    product(d, k, values_transposed, seen, {dp, stride_});
    draw(first, count);
    for (int64_t r = 0; r < count; ++r)
      gradient_row(s + r * stride_, dp + r * stride_, lse[head(first + r) * shape_.queries + query_row(first + r)],
                   options_of(first, r, depth), ds + r * stride_);
    std::fill(s + count * stride_, s + padded * stride_, 0.0F);
    std::fill(dp + count * stride_, dp + padded * stride_, 0.0F);
    std::fill(ds + count * stride_, ds + padded * stride_, BFloat16(0));
  }

  // to [keys, k] (+)= x^T y, x [padded, stride_] of the block's rows, y their rows.
  template <class Row>
  void add_to_keys(const float* x, Row&& row, const Block& block, bool add, float* to) {
    const int64_t k = shape_.k;
    BFloat16* left = room(left_, block.depth * block_rows);
    BFloat16* right = room(right_, block_rows * round_up(k, panel_columns));
    transpose_to_bf16(x, stride_, block.padded, block.depth, left, block_rows);
    pack_rows(block.count, block.padded, k, right, row);
    product({left, round_up(keys_, lanes), block_rows}, block.padded, right, k, {to, k, add});
  }

  std::vector<BFloat16> values_transposed_, keys_packed_, d_rows_, ds_, left_, right_;
  std::vector<float> dp_, dq_, dk_, dv_;
};

// Where each thread's tasks (a span and a key/value head) begin, so that all have about the same work. It depends on the lengths
// alone, and so does the order in which sums are taken.
std::vector<int64_t> equal_shares(const std::vector<AttentionSpan>& spans, int64_t kv_heads, int64_t threads) {
  std::vector<double> work{0};
  for (const AttentionSpan& span : spans) {
    constexpr double per_row = 64;  // what a row costs beside its scores
    const auto rows = static_cast<double>(span.q_length), keys = static_cast<double>(span.prefix_length + span.k_length);
    for (int64_t h = 0; h < kv_heads; ++h) work.push_back(work.back() + rows * keys + per_row * (rows + keys));
  }
  std::vector<int64_t> begins;
  for (int64_t t = 0; t <= threads; ++t) {
    const double share = work.back() * static_cast<double>(t) / static_cast<double>(threads);
    begins.push_back(std::lower_bound(work.begin(), work.end(), share) - work.begin());
  }
  begins.back() = static_cast<int64_t>(work.size()) - 1;
  return begins;
}

// Calls worker(begin, end) for the tasks of each thread.
template <class F>
void share_tasks(const AttentionCall& call, F&& worker) {
  const int64_t threads = at::get_num_threads();
  const std::vector<int64_t> begins = equal_shares(call.spans, call.shape.kv_heads, threads);
  at::parallel_for(0, threads, 1, [&](int64_t first, int64_t last) {
    const PanelProducts products;
    for (int64_t t = first; t < last; ++t) worker(begins[t], begins[t + 1]);
  });
}

}  // namespace

bool tileable(const at::Tensor& q) {
  return q.scalar_type() == at::kBFloat16 && q.size(2) % 32 == 0 && has_packed_products();
}

void tiled_attention(const AttentionCall& call, at::Tensor& out, at::Tensor& lse) {
  const Shape& shape = call.shape;
  const at::Tensor out_heads = out.view({shape.queries, shape.heads, shape.k});
  float* statistics = lse.mutable_data_ptr<float>();
  share_tasks(call, [&](int64_t begin, int64_t end) {
    ForwardTiles tiles(call);
    for (int64_t task = begin; task < end; ++task) {
      tiles.take(call.spans[task / shape.kv_heads], task % shape.kv_heads);
      tiles.run(mutable_heads_of<BFloat16>(out_heads), statistics);
    }
  });
}

namespace {

// With keys and values of their own.
void projected_backward(const AttentionCall& call, Heads<const BFloat16> d_heads, const float* lse,
                        const Gradients<BFloat16>& to) {
  const Shape& shape = call.shape;
  PrefixSums<float> prefix(call.spans, shape.kv_heads * shape.k);
  share_tasks(call, [&](int64_t begin, int64_t end) {
    BackwardTiles tiles(call);
    for (int64_t task = begin; task < end; ++task) {
      tiles.take(call.spans[task / shape.kv_heads], task % shape.kv_heads);
      tiles.run(d_heads, lse, to, prefix);
    }
  });
  add_prefix_sums<BFloat16>(prefix, shape.k, to.dk, to.dv);
}

void memory_backward(const AttentionCall& call, Heads<const BFloat16> d_heads, const float* lse, const AttentionGradients& to) {
  share_tasks(call, [&](int64_t begin, int64_t end) {
    BackwardTiles tiles(call);
    for (int64_t task = begin; task < end; ++task) {
      tiles.take(call.spans[task], 0);
      tiles.run(d_heads, lse, mutable_heads_of<BFloat16>(to.q), to.memory.mutable_data_ptr<float>());
    }
  });
}

}  // namespace

void tiled_attention_backward(const AttentionCall& call, const at::Tensor& d_out, const at::Tensor& lse,
                              const AttentionGradients& to) {
  const at::Tensor d_heads = d_out.view({call.shape.queries, call.shape.heads, call.shape.k});
  const auto d = heads_of<BFloat16>(d_heads);
  const auto* statistics = lse.const_data_ptr<float>();
  if (call.in.memory != nullptr) return memory_backward(call, d, statistics, to);
  projected_backward(call, d, statistics,
                     {mutable_heads_of<BFloat16>(to.q), mutable_heads_of<BFloat16>(to.k), mutable_heads_of<BFloat16>(to.v)});
}

void pack_memory(const Ragged& tokens, AttentionMemory& memory) {
  const int64_t k = memory.x.size(2);
  int64_t rows = 0;
  memory.first_panel.assign(tokens.tokens(), 0);
  for (int64_t b = 0; b < tokens.batch(); ++b) {
    if (tokens.length(b) > 0) memory.first_panel[tokens.offsets[b]] = rows;
    rows += round_up(tokens.length(b), panel_columns);
  }
  memory.keys = at::empty({rows, k}, memory.x.options());
  memory.values = at::empty({rows, k}, memory.x.options());
  auto *keys = memory.keys.mutable_data_ptr<BFloat16>(), *values = memory.values.mutable_data_ptr<BFloat16>();
  at::parallel_for(0, tokens.batch(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t length = tokens.length(b), first = tokens.offsets[b];
      if (length == 0) continue;
      const int64_t place = memory.first_panel[first] * k;
      const auto row = [x = heads_of<BFloat16>(memory.x), first](int64_t j) { return x.at(first + j, 0); };
      pack_transposed_rows(length, k, keys + place, row);
      pack_rows(length, round_up(length, panel_columns), k, values + place, row);
    }
  });
}

}  // namespace dept::kernels
