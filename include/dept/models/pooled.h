// Text models whose caches can be pools, in which sequences come and go while others are computed.
#pragma once

#include <memory>
#include <vector>

#include "dept/models/backbone.h"

namespace dept {

/// The size of a pool.
struct PoolSize {
  int64_t slots = 0;
  int64_t tokens = 0;         ///< rows of keys and values, for all slots
  int64_t memory_tokens = 0;  ///< T5, BART: of encoded sources, for all slots
};

/// What a TextModel implements beside it. A pool is a KvCache for TextModel's extend, rewind and copy_slots; a slot is reserved
/// before it is used, never holds more than that, and no other slot moves for it.
class PooledModel {
 public:
  virtual ~PooledModel() = default;

  /// Bytes of one token's keys and values; of an encoded source's token (T5; else 0).
  virtual int64_t token_bytes() const = 0;
  virtual int64_t memory_token_bytes() const = 0;

  virtual std::unique_ptr<KvCache> pool(const PoolSize& size) const = 0;
  /// Room for `tokens` tokens and, T5, a source of `memory_tokens` in a slot that has none. False where the pool has too little
  /// left; nothing is taken then.
  virtual bool reserve(KvCache& pool, int64_t slot, int64_t tokens, int64_t memory_tokens) const = 0;
  /// T5: encodes `source`, sequence b for slot slots[b], whose length is as reserved. Throws bug for a decoder.
  virtual void encode(KvCache& pool, const Stream& source, const std::vector<int64_t>& slots) const = 0;
  /// Empties a slot and gives its room back. No other slot may have it as prefix.
  virtual void release(KvCache& pool, int64_t slot) const = 0;
};

/// The model as one with pools. Throws bug for another.
const PooledModel& as_pooled_model(const TextModel& model);

}  // namespace dept
