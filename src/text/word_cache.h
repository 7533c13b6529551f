// Words that were encoded lately, with their ids: text repeats itself.
#pragma once

#include <cstring>
#include <memory>
#include <string_view>

#include "dept/text/tokenizer.h"
#include "text/hash.h"

namespace dept {

/// One place a hash, one cache line a word; a newer word pushes an older one out.
class WordCache {
 public:
  struct Entry {
    uint8_t size = 0, count = 0;  // of the word in bytes, of its ids
    char word[30];
    int32_t ids[8];
  };
  static_assert(sizeof(Entry) == 64);

  static bool fits(std::string_view word) { return word.size() <= sizeof(Entry::word); }
  Entry& slot(std::string_view word) { return entries_[hash_bytes(word) & (places - 1)]; }

  static bool holds(const Entry& entry, std::string_view word) {
    return entry.size == word.size() && std::memcmp(entry.word, word.data(), word.size()) == 0;
  }
  /// Ids that are too many are not kept.
  static void put(Entry& entry, std::string_view word, const int64_t* ids, size_t count) {
    if (count > std::size(entry.ids)) return;
    entry.size = static_cast<uint8_t>(word.size());
    entry.count = static_cast<uint8_t>(count);
    std::memcpy(entry.word, word.data(), word.size());
    for (size_t i = 0; i < count; ++i) entry.ids[i] = static_cast<int32_t>(ids[i]);
  }

 private:
  static constexpr size_t places = 1 << 14;
  std::unique_ptr<Entry[]> entries_ = std::make_unique<Entry[]>(places);
};

}  // namespace dept
