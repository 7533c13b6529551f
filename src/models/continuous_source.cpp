#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "models/continuous_tasks.h"

namespace dept {

bool PlacedSource::place(PromptStates& prompts, const Room& room) {
  room_ = room;
  const int64_t text = source_.embeds.size(0);
  if (text + (encodes() ? 0 : prompt_length()) == 0) fail(Code::bad_input, "prompt", "at least one token", "none");
  if (source_.prompt && !prompts.use(source_.prompt, prompt_)) return false;
  if (take(room) || (prompts.drop_unused() && take(room))) return true;
  prompt_ = {};
  return false;
}

// Rows that share a source have it as prefix, and it has a copy of its prompt; a row alone is in the source's slot, with the
// prompt as prefix. Where keys depend on the length of the whole text, each row has a copy of all.
bool PlacedSource::take(const Room& room) {
  const bool shares = room.width > 1, by_length = pool_.model().info().rotates_by_length;
  const int64_t start = decoder_prompt_length() + (room.start ? 1 : 0);
  const int64_t own = encodes() ? start : source_.embeds.size(0) + (shares || by_length ? prompt_length() : 0);
  const int64_t whole = own + (shares ? 0 : room.behind), row = room.behind + (by_length ? own : 0);
  const int64_t memory = encodes() ? source_.embeds.size(0) : 0;
  if (!pool_.could_hold(whole + (shares ? room.width * row : 0) + prompt_length(), memory))
    fail(Code::resource, "cache_bytes", str("room for ", whole + (shares ? room.width * row : 0), " tokens"), "less");
  const std::optional<int64_t> slot = pool_.take(whole, memory);
  if (!slot) return false;
  lease_ = SlotLease(pool_, *slot);
  for (int64_t i = 0; shares && i < room.width; ++i) {
    const std::optional<int64_t> taken = pool_.take(row, 0);
    if (!taken) {
      rows_.clear();
      lease_.release();
      return false;
    }
    rows_.push_back({SlotLease(pool_, *taken), *taken, *slot, 0});
  }
  if (!shares) rows_.push_back({{}, *slot, -1, 0});
  return true;
}

int64_t PlacedSource::tokens() const {
  const int64_t prompt = prompt_ && !prompt_.state().last_hidden.defined() ? prompt_length() : 0;
  return prompt + source_.embeds.size(0) + decoder_prompt_length() + (encodes() && room_.start ? 1 : 0);
}

const at::Tensor* PlacedSource::unencoded() {
  if (!encodes() || encoded_) return nullptr;
  encoded_ = true;
  return &source_.embeds;
}

std::optional<size_t> PlacedSource::start(ContinuousStep& step) {
  const TextModel& model = pool_.model();
  const int64_t prompt = encodes() ? 0 : prompt_length();
  SequencePiece piece;
  piece.slot = lease_.slot();
  piece.position = prompt;
  piece.wanted = 1;
  piece.embeds = source_.embeds;
  if (encodes()) {
    std::vector<at::Tensor> parts;
    if (source_.decoder_prompt.defined()) parts.push_back(source_.decoder_prompt);
    if (room_.start)
      parts.push_back(model.embed(at::tensor({*model.info().answer_start_id}, at::kLong)).to(model.context().residual()));
    piece.embeds = parts.empty() ? at::Tensor() : at::cat(parts);
    if (!room_.start) piece.wanted = 0;
  } else if (prompt > 0 && rows_.front().prefix >= 0) {
    model.copy_slots(pool_.cache(), {prompt_.state().lease.slot()}, {lease_.slot()});
  } else if (prompt > 0) {
    rows_.front().prefix = prompt_.state().lease.slot();
  }
  const int64_t length = piece.embeds.defined() ? piece.embeds.size(0) : 0;
  for (Row& row : rows_) row.position = prompt + length;
  source_.embeds = at::Tensor();
  if (length > 0) {
    if (!rows_.front().lease) piece.prefix = std::exchange(rows_.front().prefix, -1);
    return step.add(std::move(piece));
  }
  if (encodes()) return std::nullopt;
  return step.add_hidden(prompt_.state().last_hidden);  // an empty text goes on from its prompt
}

SequencePiece PlacedSource::next(Row& row, IdList ids, int64_t wanted) {
  SequencePiece piece;
  piece.slot = row.slot;
  piece.prefix = std::exchange(row.prefix, -1);
  piece.position = row.position;
  row.position += static_cast<int64_t>(ids.size());
  piece.ids = std::move(ids);
  piece.wanted = wanted;
  return piece;
}

}  // namespace dept
