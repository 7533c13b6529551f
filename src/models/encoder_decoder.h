// What T5 and BART have in common: a cache over the encoder's output, alone or as a pool, and one table of words under several
// names.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "dept/models/backbone.h"
#include "dept/models/model_files.h"
#include "dept/models/pooled.h"
#include "dept/nn/modules.h"

namespace dept {

/// Rows of a pool's memory.
struct MemoryRoom {
  int64_t begin = 0, rows = 0;
};

struct EncoderDecoderCache : KvCache {
  nn::SlotCache slots;
  std::vector<nn::CrossAttention::Memory> memory;    ///< the encoder's output as each layer reads it
  std::vector<int64_t> memory_begin, memory_length;  ///< [slots] which rows of it
  nn::RowPool memory_rows;                           ///< of a pool
  std::vector<MemoryRoom> memory_rooms;              ///< [slots] of a pool: what each has reserved

  /// Slot b reads sequence b of the source, as far as there are so many.
  void read(const Ragged& source, int64_t slot_count);
  /// Spans of the fresh tokens over what their slots read; a slot with a prefix reads what its prefix does, from now on.
  std::vector<kernels::AttentionSpan> cross_spans(const Ragged& fresh, const std::vector<int64_t>& of_slots);
  void copy(const std::vector<int64_t>& from, const std::vector<int64_t>& to);
};

class EncoderDecoder : public TextModel, public PooledModel {
 public:
  using TextModel::TextModel;

  int64_t length(const KvCache& cache, int64_t slot) const override;
  void rewind(KvCache& cache, int64_t slot, int64_t length) const override;
  void copy_slots(KvCache& cache, const std::vector<int64_t>& from, const std::vector<int64_t>& to) const override;

  int64_t token_bytes() const override;
  int64_t memory_token_bytes() const override;
  std::unique_ptr<KvCache> pool(const PoolSize& size) const override;
  bool reserve(KvCache& pool, int64_t slot, int64_t tokens, int64_t memory_tokens) const override;
  void encode(KvCache& pool, const Stream& source, const std::vector<int64_t>& slots) const override;
  void release(KvCache& pool, int64_t slot) const override;

 protected:
  struct DecoderSizes {
    int64_t layers, heads, head_dim;
  };
  virtual DecoderSizes decoder_sizes() const = 0;
  /// The encoder's output [N, D] in the compute type, without dropout. Throws bug for a stream that does not fit.
  virtual at::Tensor encoded(const Stream& source) const = 0;
  virtual const nn::CrossAttention& cross_attention(int64_t layer) const = 0;
};

/// The table [V, D] that stands under one of these names, or under several; transformers gives the encoder and the decoder their
/// own where they differ. Throws bad_input for two that do.
kernels::FrozenMatrix load_shared_embedding(const ModelFiles& files, const std::string& base,
                                            std::initializer_list<const char*> names, at::IntArrayRef shape,
                                            at::ScalarType dtype);

}  // namespace dept
