#include "dept/nn/kv_cache.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cstring>
#include <iterator>

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept::nn {
namespace {

void append_range(std::vector<int64_t>& rows, int64_t begin, int64_t count) {
  for (int64_t i = 0; i < count; ++i) rows.push_back(begin + i);
}

// Rows of from [N, H, K] to these of `to`. LibTorch goes number by number, on one thread, where they are part of wider rows.
void put_rows(const at::Tensor& to, const at::Tensor& rows, const at::Tensor& from) {
  constexpr int64_t grain = 128;
  const bool alike = from.scalar_type() == to.scalar_type() && from.sizes().slice(1) == to.sizes().slice(1);
  if (!to.is_cpu() || !alike || !to.is_contiguous() || from.stride(2) != 1 || from.stride(1) != from.size(2)) {
    to.index_copy_(0, rows, from);
    return;
  }
  const size_t bytes = static_cast<size_t>(from.size(1) * from.size(2)) * from.element_size();
  const size_t pitch = static_cast<size_t>(from.stride(0)) * from.element_size();
  const auto* source = static_cast<const char*>(from.const_data_ptr());
  auto* target = static_cast<char*>(to.mutable_data_ptr());
  const at::Tensor places = rows.contiguous();
  const int64_t* row = places.const_data_ptr<int64_t>();
  at::parallel_for(0, from.size(0), grain, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n)
      std::memcpy(target + static_cast<size_t>(row[n]) * bytes, source + static_cast<size_t>(n) * pitch, bytes);
  });
}

int64_t whole_pages(int64_t rows) {
  return (rows + RowPool::page - 1) / RowPool::page * RowPool::page;
}

}  // namespace

RowPool::RowPool(int64_t rows) {
  if (rows > 0) free_.emplace(0, rows / page * page);
}

std::optional<int64_t> RowPool::take(int64_t rows) {
  const int64_t needed = whole_pages(rows);
  if (needed == 0) return 0;
  auto best = free_.end();
  for (auto each = free_.begin(); each != free_.end(); ++each)
    if (each->second >= needed && (best == free_.end() || each->second < best->second)) best = each;
  if (best == free_.end()) return std::nullopt;
  const auto [begin, room] = *best;
  free_.erase(best);
  if (room > needed) free_.emplace(begin + needed, room - needed);
  return begin;
}

void RowPool::give_back(int64_t begin, int64_t rows) {
  const int64_t room = whole_pages(rows);
  if (room == 0) return;
  auto place = free_.emplace(begin, room).first;
  if (const auto behind = std::next(place); behind != free_.end() && place->first + place->second == behind->first) {
    place->second += behind->second;
    free_.erase(behind);
  }
  if (place == free_.begin()) return;
  const auto front = std::prev(place);
  if (front->first + front->second != place->first) return;
  front->second += place->second;
  free_.erase(place);
}

SlotCache::SlotCache(int64_t slots, int64_t layer_count, int64_t kv_heads, int64_t head_dim, const at::TensorOptions& options,
                     int64_t expected)
    : length(slots, 0), prefix(slots, -1), expected_(expected), device_(options.device()), begin_(slots, 0), room_(slots, 0) {
  const at::Tensor none = at::empty({0, kv_heads, head_dim}, options);
  layers.assign(layer_count, {none, none});
}

SlotCache SlotCache::pool(int64_t slots, int64_t layer_count, int64_t kv_heads, int64_t head_dim,
                          const at::TensorOptions& options, int64_t rows) {
  SlotCache cache(slots, layer_count, kv_heads, head_dim, options, 0);
  cache.pool_.emplace(rows);
  for (Layer& layer : cache.layers)
    for (at::Tensor* x : {&layer.k, &layer.v}) *x = at::empty({rows, kv_heads, head_dim}, options);
  return cache;
}

bool SlotCache::reserve(int64_t slot, int64_t tokens) {
  if (room_.at(slot) != 0) fail(Code::bug, "SlotCache.reserve", "a slot without room", dept::str(room_[slot], " rows"));
  const std::optional<int64_t> begin = pool_.value().take(tokens);
  if (!begin) return false;
  begin_[slot] = *begin;
  room_[slot] = tokens;
  return true;
}

void SlotCache::release(int64_t slot) {
  pool_.value().give_back(begin_.at(slot), room_.at(slot));
  room_[slot] = length[slot] = 0;
  prefix[slot] = -1;
}

at::Tensor SlotCache::index(const std::vector<int64_t>& rows) const {
  return at::tensor(rows, at::kLong).to(device_);
}

// Rows that a full slot gets beyond those it needs: moving a slot costs as much as its length.
int64_t SlotCache::spare_rows(int64_t held) const {
  return std::min(32 + held / 4, expected_);
}

// Gives every slot its room; what it holds is kept.
void SlotCache::lay_out(const std::vector<int64_t>& rooms) {
  if (pool_) fail(Code::bug, "SlotCache", "no more tokens than a slot has reserved", "more");
  std::vector<int64_t> from, to;
  int64_t rows = 0;
  for (size_t slot = 0; slot < rooms.size(); ++slot) {
    append_range(from, begin_[slot], length[slot]);
    append_range(to, rows, length[slot]);
    begin_[slot] = rows;
    rows += rooms[slot];
  }
  room_ = rooms;
  const at::Tensor source = index(from), target = index(to);
  for (Layer& layer : layers) {
    for (at::Tensor* x : {&layer.k, &layer.v}) {
      const at::Tensor moved = at::empty({rows, x->size(1), x->size(2)}, x->options());
      if (!from.empty()) moved.index_copy_(0, target, x->index_select(0, source));
      *x = moved;
    }
  }
}

at::Tensor SlotCache::append(const Ragged& fresh, const std::vector<int64_t>& slots) {
  // Slots that are left out keep no spare room.
  std::vector<int64_t> rooms = length, rows;
  bool full = false;
  for (int64_t b = 0; b < fresh.batch(); ++b) {
    const int64_t slot = slots.at(b), needed = length.at(slot) + fresh.length(b);
    full |= needed > room_[slot];
    if (fresh.length(b) > 0) rooms[slot] = std::max(room_[slot], needed + spare_rows(length[slot]));
  }
  if (full) lay_out(rooms);
  for (int64_t b = 0; b < fresh.batch(); ++b) {
    const int64_t slot = slots[b];
    if (fresh.prefix[b] >= 0) {
      if (length[slot] != 0)
        fail(Code::bug, "SlotCache", "a prefix on an empty slot only", dept::str(length[slot], " tokens in it"));
      prefix[slot] = slots[fresh.prefix[b]];
    }
    append_range(rows, begin_[slot] + length[slot], fresh.length(b));
    length[slot] += fresh.length(b);
  }
  return index(rows);
}

void SlotCache::store(size_t layer, const at::Tensor& rows, const at::Tensor& k, const at::Tensor& v) {
  if (layer >= layers.size()) fail(Code::bug, "SlotCache.store", dept::str("a layer below ", layers.size()), dept::str(layer));
  if (rows.dim() != 1 || rows.scalar_type() != at::kLong || k.size(0) != rows.size(0) || v.size(0) != rows.size(0))
    fail(Code::bug, "SlotCache.store", "an int64 row for each key and value",
         dept::str(rows.sizes(), ", ", k.sizes(), ", ", v.sizes()));
  put_rows(layers[layer].k, rows, k);
  put_rows(layers[layer].v, rows, v);
}

std::vector<kernels::AttentionSpan> SlotCache::spans(const Ragged& fresh, const std::vector<int64_t>& slots) const {
  std::vector<kernels::AttentionSpan> all;
  for (int64_t b = 0; b < fresh.batch(); ++b) {
    const int64_t slot = slots[b], front = prefix[slot];
    kernels::AttentionSpan span{fresh.offsets[b], fresh.length(b), begin_[slot], length[slot]};
    span.sequence = b;
    if (front >= 0) {
      span.prefix_begin = begin_[front];
      span.prefix_length = length[front];
    }
    if (span.q_length > 0) all.push_back(span);
  }
  return all;
}

void SlotCache::rewind(int64_t slot, int64_t kept) {
  if (kept < 0 || kept > length.at(slot))
    fail(Code::bug, "SlotCache.rewind", dept::str("0 to ", length[slot], " tokens"), dept::str(kept));
  length[slot] = kept;
}

void SlotCache::copy(const std::vector<int64_t>& from, const std::vector<int64_t>& to) {
  std::vector<int64_t> rooms = room_, source, target;
  for (size_t i = 0; i < from.size(); ++i) {
    const int64_t held = length.at(from[i]);
    if (held > rooms.at(to[i])) rooms[to[i]] = held + spare_rows(held);
  }
  if (rooms != room_) lay_out(rooms);
  for (size_t i = 0; i < from.size(); ++i) {
    append_range(source, begin_[from[i]], length[from[i]]);
    append_range(target, begin_[to[i]], length[from[i]]);
  }
  const at::Tensor from_rows = index(source), to_rows = index(target);
  for (Layer& layer : layers)
    for (at::Tensor* x : {&layer.k, &layer.v}) x->index_copy_(0, to_rows, x->index_select(0, from_rows));
  const std::vector<int64_t> old_length = length, old_prefix = prefix;
  for (size_t i = 0; i < from.size(); ++i) {
    length[to[i]] = old_length[from[i]];
    prefix[to[i]] = old_prefix[from[i]];
  }
}

int64_t SlotCache::longest() const {
  int64_t most = 0;
  for (size_t slot = 0; slot < length.size(); ++slot)
    most = std::max(most, length[slot] + (prefix[slot] >= 0 ? length[prefix[slot]] : 0));
  return most;
}

}  // namespace dept::nn
