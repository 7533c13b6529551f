#include "dept/nn/kv_cache.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept::nn {

SlotCache::SlotCache(int64_t slots, int64_t capacity, int64_t layer_count, int64_t kv_heads, int64_t head_dim,
                     at::ScalarType dtype)
    : capacity(capacity), length(slots, 0), prefix(slots, -1) {
  for (int64_t i = 0; i < layer_count; ++i) {
    const auto room = [&] { return at::empty({slots * capacity, kv_heads, head_dim}, at::TensorOptions(dtype)); };
    layers.push_back({room(), room()});
  }
}

at::Tensor SlotCache::append(const Ragged& fresh, const std::vector<int64_t>& slots) {
  at::Tensor rows = at::empty({fresh.tokens()}, at::TensorOptions(at::kLong));
  int64_t* row = rows.mutable_data_ptr<int64_t>();
  for (int64_t b = 0; b < fresh.batch(); ++b) {
    const int64_t slot = slots.at(b);
    if (fresh.prefix[b] >= 0) {
      if (length.at(slot) != 0)
        fail(Code::bug, "SlotCache", "a prefix on an empty slot only", dept::str(length[slot], " tokens in it"));
      prefix[slot] = slots.at(fresh.prefix[b]);
    }
    if (length.at(slot) + fresh.length(b) > capacity)
      fail(Code::bug, "SlotCache", dept::str("at most ", capacity, " tokens a slot"), dept::str(length[slot] + fresh.length(b)));
    for (int64_t i = 0; i < fresh.length(b); ++i) *row++ = slot * capacity + length[slot]++;
  }
  return rows;
}

std::vector<kernels::AttentionSpan> SlotCache::spans(const Ragged& fresh, const std::vector<int64_t>& slots) const {
  std::vector<kernels::AttentionSpan> all;
  for (int64_t b = 0; b < fresh.batch(); ++b) {
    const int64_t slot = slots[b], front = prefix[slot];
    kernels::AttentionSpan span{fresh.offsets[b], fresh.length(b), slot * capacity, length[slot]};
    span.sequence = b;
    if (front >= 0) {
      span.prefix_begin = front * capacity;
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
  const auto slots = static_cast<int64_t>(length.size());
  at::Tensor source = at::empty({static_cast<int64_t>(from.size())}, at::TensorOptions(at::kLong)),
             target = at::empty_like(source);
  std::copy(from.begin(), from.end(), source.mutable_data_ptr<int64_t>());
  std::copy(to.begin(), to.end(), target.mutable_data_ptr<int64_t>());
  for (Layer& layer : layers) {
    for (at::Tensor* x : {&layer.k, &layer.v}) {
      at::Tensor by_slot = x->view({slots, -1});
      by_slot.index_copy_(0, target, by_slot.index_select(0, source));
    }
  }
  const std::vector<int64_t> old_length = length, old_prefix = prefix;
  for (size_t i = 0; i < from.size(); ++i) {
    length.at(to[i]) = old_length.at(from[i]);
    prefix.at(to[i]) = old_prefix.at(from[i]);
  }
}

int64_t SlotCache::longest() const {
  int64_t most = 0;
  for (size_t slot = 0; slot < length.size(); ++slot)
    most = std::max(most, length[slot] + (prefix[slot] >= 0 ? length[prefix[slot]] : 0));
  return most;
}

}  // namespace dept::nn
