#include "models/slot_history.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/max.h>
#include <ATen/ops/tensor.h>

#include <algorithm>

namespace dept {

Stream SlotHistory::take(const Stream& fresh, const std::vector<int64_t>& slots, nn::SlotCache& cache) {
  Stream run;
  std::vector<at::Tensor> embeds{fresh.embeds.slice(0, 0, 0)}, positions{fresh.tokens.position.slice(0, 0, 0)};
  for (int64_t b = 0; b < fresh.tokens.batch(); ++b) {
    const int64_t begin = fresh.tokens.offsets[b], end = fresh.tokens.offsets[b + 1], prefix = fresh.tokens.prefix[b];
    Slot& slot = slots_.at(static_cast<size_t>(slots[b]));
    if (prefix >= 0) slot.pieces = slots_.at(static_cast<size_t>(slots[prefix])).pieces;
    const Piece piece{fresh.embeds.slice(0, begin, end), fresh.tokens.position.slice(0, begin, end)};
    int64_t length = end - begin;
    if (length > 0) {
      const bool is_long = rotation_.is_long(at::max(piece.position).item<int64_t>() + 1);
      if (prefix >= 0 || is_long != slot.is_long) {
        cache.rewind(slots[b], 0);
        for (const Piece& held : slot.pieces) {
          length += held.position.size(0);
          embeds.push_back(held.embeds);
          positions.push_back(held.position);
        }
      }
      slot.is_long = is_long;
      slot.pieces.push_back(piece);
    }
    embeds.push_back(piece.embeds);
    positions.push_back(piece.position);
    run.tokens.append(length, fresh.tokens.example[b], fresh.tokens.config[b]);
  }
  run.embeds = at::cat(embeds);
  run.tokens.position = at::cat(positions);
  return run;
}

void SlotHistory::rewind(int64_t slot, int64_t length) {
  std::vector<Piece> kept;
  for (const Piece& piece : slots_.at(static_cast<size_t>(slot)).pieces) {
    const int64_t count = std::min(length, piece.position.size(0));
    if (count > 0) kept.push_back({piece.embeds.slice(0, 0, count), piece.position.slice(0, 0, count)});
    length -= count;
  }
  slots_[static_cast<size_t>(slot)].pieces = std::move(kept);
}

void SlotHistory::copy(const std::vector<int64_t>& from, const std::vector<int64_t>& to) {
  const std::vector<Slot> before = slots_;
  for (size_t i = 0; i < from.size(); ++i) slots_.at(static_cast<size_t>(to[i])) = before.at(static_cast<size_t>(from[i]));
}

at::Tensor last_rows(const at::Tensor& rows, const Ragged& run, const Ragged& fresh) {
  if (run.tokens() == fresh.tokens()) return rows;
  std::vector<int64_t> last;
  for (int64_t b = 0; b < run.batch(); ++b)
    for (int64_t n = run.offsets[b + 1] - fresh.length(b); n < run.offsets[b + 1]; ++n) last.push_back(n);
  return rows.index_select(0, at::tensor(last, at::kLong).to(rows.device()));
}

}  // namespace dept
