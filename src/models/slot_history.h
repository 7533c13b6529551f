// What the slots of a cache were made of, for models whose keys depend on how long the whole text is (LongRoPE): a text that
// grows beyond the original length, or is cut back to it, is computed anew from its first token on.
#pragma once

#include <vector>

#include "dept/models/backbone.h"
#include "dept/nn/kv_cache.h"
#include "models/rope_scaling.h"

namespace dept {

class SlotHistory {
 public:
  SlotHistory(int64_t slots, const RopeScaling& rotation) : rotation_(rotation), slots_(static_cast<size_t>(slots)) {}

  /// `fresh` as it is to be run, without prefixes: slots whose tokens must be computed anew are emptied in `cache`, and what they
  /// held stands in front of their new tokens; what a prefix held becomes a slot's own.
  Stream take(const Stream& fresh, const std::vector<int64_t>& slots, nn::SlotCache& cache);
  void rewind(int64_t slot, int64_t length);
  void copy(const std::vector<int64_t>& from, const std::vector<int64_t>& to);

 private:
  struct Piece {
    at::Tensor embeds, position;
  };
  struct Slot {
    std::vector<Piece> pieces;
    bool is_long = false;
  };
  RopeScaling rotation_;
  std::vector<Slot> slots_;
};

/// Of rows for the tokens of `run`, those of `fresh`, which stand last in each sequence.
at::Tensor last_rows(const at::Tensor& rows, const Ragged& run, const Ragged& fresh);

}  // namespace dept
