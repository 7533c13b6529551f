#include "text/vocabulary.h"

#include <bit>

#include "text/hash.h"

namespace dept {

void Vocabulary::reserve(size_t tokens, size_t bytes) {
  bytes_.reserve(bytes);
  spans_.reserve(tokens);
  grow(std::bit_ceil(tokens * 2));
}

size_t Vocabulary::slot(std::string_view token) const {
  const size_t mask = slots_.size() - 1;
  size_t at = hash_bytes(token) & mask;
  while (slots_[at] != absent && this->token(slots_[at]) != token) at = (at + 1) & mask;
  return at;
}

void Vocabulary::grow(size_t slots) {
  if (slots <= slots_.size()) return;
  slots_.assign(slots, absent);
  for (size_t id = 0; id < spans_.size(); ++id)
    if (spans_[id].begin != unused) slots_[slot(token(static_cast<int64_t>(id)))] = static_cast<int32_t>(id);
}

Vocabulary::Added Vocabulary::add(std::string_view token, int64_t id) {
  if (id < 0 || id > max_id) return Added::bad_id;
  if (contains(id)) return Added::id_taken;
  size_t at = slot(token);
  if (slots_[at] != absent) return Added::token_known;
  if (2 * (count_ + 1) > slots_.size()) {
    grow(slots_.size() * 2);
    at = slot(token);
  }
  if (id >= end_id()) spans_.resize(static_cast<size_t>(id) + 1);
  spans_[id] = {bytes_.size(), token.size()};
  bytes_ += token;
  slots_[at] = static_cast<int32_t>(id);
  ++count_;
  return Added::yes;
}

int32_t Vocabulary::find(std::string_view token) const {
  return slots_[slot(token)];
}

}  // namespace dept
