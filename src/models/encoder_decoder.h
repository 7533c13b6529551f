// What T5 and BART have in common: a cache over the encoder's output, and one table of words under several names.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "dept/models/backbone.h"
#include "dept/models/model_files.h"
#include "dept/nn/modules.h"

namespace dept {

struct EncoderDecoderCache : KvCache {
  nn::SlotCache slots;
  std::vector<nn::CrossAttention::Memory> memory;    ///< the encoder's output as each layer reads it
  std::vector<int64_t> memory_begin, memory_length;  ///< [slots] which rows of it

  /// Slot b reads sequence b of the source, as far as there are so many.
  void read(const Ragged& source, int64_t slot_count);
  /// Spans of the fresh tokens over what their slots read; a slot with a prefix reads what its prefix does, from now on.
  std::vector<kernels::AttentionSpan> cross_spans(const Ragged& fresh, const std::vector<int64_t>& of_slots);
  void copy(const std::vector<int64_t>& from, const std::vector<int64_t>& to);
};

class EncoderDecoder : public TextModel {
 public:
  using TextModel::TextModel;

  int64_t length(const KvCache& cache, int64_t slot) const override;
  void rewind(KvCache& cache, int64_t slot, int64_t length) const override;
  void copy_slots(KvCache& cache, const std::vector<int64_t>& from, const std::vector<int64_t>& to) const override;
};

/// The table [V, D] that stands under one of these names, or under several; transformers gives the encoder and the decoder their
/// own where they differ. Throws bad_input for two that do.
kernels::FrozenMatrix load_shared_embedding(const ModelFiles& files, const std::string& base,
                                            std::initializer_list<const char*> names, at::IntArrayRef shape,
                                            at::ScalarType dtype);

}  // namespace dept
