#include "models/encoder_decoder.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <optional>

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {

void EncoderDecoderCache::read(const Ragged& source, int64_t slot_count) {
  memory_begin.assign(slot_count, 0);
  memory_length.assign(slot_count, 0);
  for (int64_t b = 0; b < std::min(slot_count, source.batch()); ++b) {
    memory_begin[b] = source.offsets[b];
    memory_length[b] = source.length(b);
  }
}

std::vector<kernels::AttentionSpan> EncoderDecoderCache::cross_spans(const Ragged& fresh, const std::vector<int64_t>& of_slots) {
  std::vector<kernels::AttentionSpan> spans;
  for (int64_t b = 0; b < fresh.batch(); ++b) {
    const int64_t slot = of_slots[b];
    if (fresh.prefix[b] >= 0) {
      const int64_t other = of_slots[fresh.prefix[b]];
      memory_begin.at(slot) = memory_begin.at(other);
      memory_length.at(slot) = memory_length.at(other);
    }
    kernels::AttentionSpan span{fresh.offsets[b], fresh.length(b), memory_begin[slot], memory_length[slot]};
    span.sequence = b;
    if (span.q_length > 0) spans.push_back(span);
  }
  return spans;
}

void EncoderDecoderCache::copy(const std::vector<int64_t>& from, const std::vector<int64_t>& to) {
  slots.copy(from, to);
  const std::vector<int64_t> begin = memory_begin, length = memory_length;
  for (size_t i = 0; i < from.size(); ++i) {
    memory_begin.at(to[i]) = begin.at(from[i]);
    memory_length.at(to[i]) = length.at(from[i]);
  }
}

int64_t EncoderDecoder::length(const KvCache& cache, int64_t slot) const {
  return dynamic_cast<const EncoderDecoderCache&>(cache).slots.length.at(slot);
}

void EncoderDecoder::rewind(KvCache& cache, int64_t slot, int64_t length) const {
  dynamic_cast<EncoderDecoderCache&>(cache).slots.rewind(slot, length);
}

void EncoderDecoder::copy_slots(KvCache& cache, const std::vector<int64_t>& from, const std::vector<int64_t>& to) const {
  dynamic_cast<EncoderDecoderCache&>(cache).copy(from, to);
}

int64_t EncoderDecoder::token_bytes() const {
  const DecoderSizes sizes = decoder_sizes();
  return 2 * sizes.layers * sizes.heads * sizes.head_dim * static_cast<int64_t>(c10::elementSize(context().compute));
}

int64_t EncoderDecoder::memory_token_bytes() const {
  return token_bytes();
}

std::unique_ptr<KvCache> EncoderDecoder::pool(const PoolSize& size) const {
  const DecoderSizes sizes = decoder_sizes();
  const at::TensorOptions options = at::TensorOptions(context().compute).device(context().device);
  auto cache = std::make_unique<EncoderDecoderCache>();
  cache->slots = nn::SlotCache::pool(size.slots, sizes.layers, sizes.heads, sizes.head_dim, options, size.tokens);
  for (int64_t i = 0; i < sizes.layers; ++i)
    cache->memory.push_back({{}, nullptr, at::empty({size.memory_tokens, 2 * sizes.heads * sizes.head_dim}, options)});
  cache->memory_rows = nn::RowPool(size.memory_tokens);
  cache->memory_begin.resize(size.slots);
  cache->memory_length.resize(size.slots);
  cache->memory_rooms.resize(size.slots);
  return cache;
}

bool EncoderDecoder::reserve(KvCache& pool, int64_t slot, int64_t tokens, int64_t memory_tokens) const {
  auto& cache = dynamic_cast<EncoderDecoderCache&>(pool);
  const std::optional<int64_t> memory = cache.memory_rows.take(memory_tokens);
  if (memory && cache.slots.reserve(slot, tokens)) {
    cache.memory_rooms[slot] = {*memory, memory_tokens};
    return true;
  }
  if (memory) cache.memory_rows.give_back(*memory, memory_tokens);
  return false;
}

void EncoderDecoder::encode(KvCache& pool, const Stream& source, const std::vector<int64_t>& slots) const {
  auto& cache = dynamic_cast<EncoderDecoderCache&>(pool);
  std::vector<at::Tensor> rows;
  for (int64_t b = 0; b < source.tokens.batch(); ++b) {
    const MemoryRoom& room = cache.memory_rooms.at(slots[b]);
    if (source.tokens.length(b) > room.rows)
      fail(Code::bug, "encoder", str("at most the ", room.rows, " reserved tokens"), str(source.tokens.length(b)));
    cache.memory_begin[slots[b]] = room.begin;
    cache.memory_length[slots[b]] = source.tokens.length(b);
    rows.push_back(at::arange(room.begin, room.begin + source.tokens.length(b), at::kLong));
  }
  const at::Tensor hidden = encoded(source), to = at::cat(rows).to(hidden.device());
  for (size_t i = 0; i < cache.memory.size(); ++i)
    cache.memory[i].kv.index_copy_(0, to, cross_attention(static_cast<int64_t>(i)).own_memory({hidden, nullptr}).kv);
}

void EncoderDecoder::release(KvCache& pool, int64_t slot) const {
  auto& cache = dynamic_cast<EncoderDecoderCache&>(pool);
  cache.slots.release(slot);
  cache.memory_rows.give_back(cache.memory_rooms[slot].begin, cache.memory_rooms[slot].rows);
  cache.memory_rooms[slot] = {};
  cache.memory_begin[slot] = cache.memory_length[slot] = 0;
}

kernels::FrozenMatrix load_shared_embedding(const ModelFiles& files, const std::string& base,
                                            std::initializer_list<const char*> names, at::IntArrayRef shape,
                                            at::ScalarType dtype) {
  const auto table = [&](const std::string& name) { return files.loader.matrix(name, shape, dtype); };
  std::vector<std::string> stored;
  for (const char* name : names)
    if (files.weights != nullptr && files.weights->find(base + name) != nullptr) stored.push_back(base + name);
  const std::string first = stored.empty() ? base + *names.begin() : stored.front();
  kernels::FrozenMatrix embedding = table(first);
  for (size_t i = 1; i < stored.size(); ++i)
    if (!table(stored[i]).dense().equal(embedding.dense()))
      fail(Code::bad_input, str(files.weights->path().string(), ": ", stored[i]), "the same numbers as " + first, "others");
  return embedding;
}

}  // namespace dept
