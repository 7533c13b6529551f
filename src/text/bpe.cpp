#include <algorithm>
#include <array>
#include <bit>
#include <queue>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "text/hash.h"
#include "text/json_fields.h"
#include "text/model.h"
#include "text/unicode.h"

namespace dept {
namespace {

struct Merge {
  uint32_t rank = UINT32_MAX;  // the lower the earlier; UINT32_MAX: no merge
  int32_t id = -1;             // what the pair becomes
};

/// (left id, right id) -> Merge; open addressing, at most half full.
class MergeTable {
 public:
  explicit MergeTable(size_t merges) : slots_(std::bit_ceil(std::max<size_t>(2 * merges, 2))), mask_(slots_.size() - 1) {}

  void put(int32_t left, int32_t right, Merge merge) {
    Slot& slot = slots_[find_slot(key(left, right))];
    slot = {key(left, right), merge};
  }
  Merge find(int32_t left, int32_t right) const { return slots_[find_slot(key(left, right))].merge; }

 private:
  struct Slot {
    uint64_t key = UINT64_MAX;
    Merge merge;
  };
  static uint64_t key(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  size_t find_slot(uint64_t key) const {
    size_t at = mix(key) & mask_;
    while (slots_[at].key != UINT64_MAX && slots_[at].key != key) at = (at + 1) & mask_;
    return at;
  }

  std::vector<Slot> slots_;
  size_t mask_;
};

class Bpe : public Model {
 public:
  Bpe(const Json& json, bool raw_bytes, const std::string& where);
  void encode(std::string_view word, Ids& out) const override;

 private:
  void read_merges(const Json& merges, const std::string& where);
  void add_merge(std::string_view left, std::string_view right, uint32_t rank, const std::string& where);
  std::vector<int32_t> symbols(std::string_view word) const;
  bool push_bytes(std::string_view piece, std::vector<int32_t>& out) const;
  void merge_short(std::vector<int32_t>& symbols) const;
  void merge_long(std::vector<int32_t>& symbols) const;

  MergeTable merges_{0};
  std::string prefix_, suffix_;  // of continuing pieces; of a word's last one
  bool fuse_unk_, byte_fallback_, ignore_merges_, raw_bytes_;
  bool by_table_;                        // raw bytes, and nothing but byte_level_ decides their ids
  std::array<int32_t, 256> fallback_;    // ids of <0x00> .. <0xFF>
  std::array<int32_t, 256> byte_level_;  // ids of the bytes' stand-ins
};

Bpe::Bpe(const Json& json, bool raw_bytes, const std::string& where) : raw_bytes_(raw_bytes) {
  read_vocabulary(member(json, "vocab", where), vocabulary_, where + ": vocab");
  if (value_or<double>(json, "dropout", 0, where) != 0)
    fail(Code::bad_input, where + ": dropout", "none", "merges dropped at random");
  prefix_ = value_or<std::string>(json, "continuing_subword_prefix", "", where);
  suffix_ = value_or<std::string>(json, "end_of_word_suffix", "", where);
  fuse_unk_ = value_or(json, "fuse_unk", false, where);
  byte_fallback_ = value_or(json, "byte_fallback", false, where);
  ignore_merges_ = value_or(json, "ignore_merges", false, where);
  const auto unk = value_or<std::string>(json, "unk_token", "", where);
  if (json.contains("unk_token") && !json["unk_token"].is_null()) {
    const int32_t id = vocabulary_.find(unk);
    if (id == Vocabulary::absent) fail(Code::bad_input, where + ": unk_token", "a token of the vocabulary", quote(unk));
    unk_id_ = id;
  }
  static constexpr char hex[] = "0123456789ABCDEF";
  for (int byte = 0; byte < 256; ++byte) {
    fallback_[byte] = vocabulary_.find(std::string{'<', '0', 'x', hex[byte >> 4], hex[byte & 15], '>'});
    byte_level_[byte] = vocabulary_.find(unicode::encode(byte_to_point(static_cast<uint8_t>(byte))));
  }
  const bool all_known = std::find(byte_level_.begin(), byte_level_.end(), Vocabulary::absent) == byte_level_.end();
  by_table_ = raw_bytes_ && prefix_.empty() && suffix_.empty() && (all_known || (!unk_id_ && !byte_fallback_));
  read_merges(member(json, "merges", where), where + ": merges");
}

void Bpe::read_merges(const Json& merges, const std::string& where) {
  if (!merges.is_array()) fail(Code::bad_input, where, "a list of pairs", kind_of(merges));
  merges_ = MergeTable(merges.size());
  uint32_t rank = 0;
  for (const Json& merge : merges) {
    if (merge.is_string()) {
      const std::string_view text = merge.get_ref<const std::string&>();
      if (text.starts_with("#version")) continue;
      const size_t space = text.find(' ');
      if (space == std::string_view::npos || text.find(' ', space + 1) != std::string_view::npos)
        fail(Code::bad_input, str(where, "[", rank, "]"), "two tokens with one space between them", quote(text));
      add_merge(text.substr(0, space), text.substr(space + 1), rank, where);
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      add_merge(merge[0].get_ref<const std::string&>(), merge[1].get_ref<const std::string&>(), rank, where);
    } else {
      fail(Code::bad_input, str(where, "[", rank, "]"), "a pair of tokens", kind_of(merge));
    }
    ++rank;
  }
}

void Bpe::add_merge(std::string_view left, std::string_view right, uint32_t rank, const std::string& where) {
  const auto id_of = [&](std::string_view token) {
    const int32_t id = vocabulary_.find(token);
    if (id == Vocabulary::absent) fail(Code::bad_input, str(where, "[", rank, "]"), "tokens of the vocabulary", quote(token));
    return id;
  };
  const int32_t left_id = id_of(left), right_id = id_of(right);
  if (right.size() < prefix_.size())
    fail(Code::bad_input, str(where, "[", rank, "]"), str("a right half that begins ", quote(prefix_)), quote(right));
  merges_.put(left_id, right_id, {rank, id_of(str(left, right.substr(prefix_.size())))});
}

// The bytes of `piece` as <0xNN> tokens, if there are all of them.
bool Bpe::push_bytes(std::string_view piece, std::vector<int32_t>& out) const {
  const auto id_of = [&](char byte) { return fallback_[static_cast<uint8_t>(byte)]; };
  if (std::any_of(piece.begin(), piece.end(), [&](char byte) { return id_of(byte) == Vocabulary::absent; })) return false;
  for (const char byte : piece) out.push_back(id_of(byte));
  return true;
}

// The word's characters as ids. Like the library: an unknown run is held back until the next known character, bytes pass it.
std::vector<int32_t> Bpe::symbols(std::string_view word) const {
  std::vector<int32_t> out;
  out.reserve(word.size());
  int64_t held = -1;
  const auto flush = [&] {
    if (held >= 0) out.push_back(static_cast<int32_t>(held));
    held = -1;
  };
  std::string spelled;
  for (size_t at = 0; at < word.size();) {
    const size_t length = unicode::decode(word, at).length;
    std::string_view piece = word.substr(at, length);
    const bool first = at == 0, last = at + length == word.size();
    at += length;
    if ((!first && !prefix_.empty()) || (last && !suffix_.empty())) {
      spelled = str(first ? "" : prefix_, piece, last ? suffix_ : "");
      piece = spelled;
    }
    const int32_t id = vocabulary_.find(piece);
    if (id != Vocabulary::absent) {
      flush();
      out.push_back(id);
    } else if (!(byte_fallback_ && push_bytes(piece, out)) && unk_id_) {
      if (!fuse_unk_) flush();
      held = *unk_id_;
    }
  }
  flush();
  return out;
}

// The best pair again and again: lowest rank, then leftmost. Quadratic, and the fastest for words of usual length.
void Bpe::merge_short(std::vector<int32_t>& symbols) const {
  std::array<Merge, 64> pairs;
  size_t count = symbols.size();
  for (size_t i = 0; i + 1 < count; ++i) pairs[i] = merges_.find(symbols[i], symbols[i + 1]);
  while (count > 1) {
    const auto best =
        std::min_element(pairs.begin(), pairs.begin() + (count - 1), [](Merge a, Merge b) { return a.rank < b.rank; });
    if (best->rank == UINT32_MAX) break;
    const auto at = static_cast<size_t>(best - pairs.begin());
    symbols[at] = best->id;
    std::copy(symbols.begin() + at + 2, symbols.begin() + count, symbols.begin() + at + 1);
    std::copy(pairs.begin() + at + 1, pairs.begin() + (count - 1), pairs.begin() + at);
    --count;
    if (at > 0) pairs[at - 1] = merges_.find(symbols[at - 1], symbols[at]);
    if (at + 1 < count) pairs[at] = merges_.find(symbols[at], symbols[at + 1]);
  }
  symbols.resize(count);
}

// The same over a linked list with a heap of candidates, n log n; a candidate is stale when its pair has changed.
void Bpe::merge_long(std::vector<int32_t>& symbols) const {
  struct Candidate {
    uint32_t rank, left, right;
    int32_t left_id, right_id, id;
    bool operator<(const Candidate& other) const { return rank != other.rank ? rank > other.rank : left > other.left; }
  };
  constexpr uint32_t end = UINT32_MAX;
  const auto count = static_cast<uint32_t>(symbols.size());
  std::vector<uint32_t> previous(count), next(count);
  std::priority_queue<Candidate> queue;
  const auto offer = [&](uint32_t left, uint32_t right) {
    const Merge merge = merges_.find(symbols[left], symbols[right]);
    if (merge.rank != UINT32_MAX) queue.push({merge.rank, left, right, symbols[left], symbols[right], merge.id});
  };
  for (uint32_t i = 0; i < count; ++i) {
    previous[i] = i == 0 ? end : i - 1;
    next[i] = i + 1 == count ? end : i + 1;
    if (i > 0) offer(i - 1, i);
  }
  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    if (symbols[top.left] != top.left_id || next[top.left] != top.right || symbols[top.right] != top.right_id) continue;
    symbols[top.left] = top.id;
    symbols[top.right] = Vocabulary::absent;
    next[top.left] = next[top.right];
    if (next[top.left] != end) {
      previous[next[top.left]] = top.left;
      offer(top.left, next[top.left]);
    }
    if (previous[top.left] != end) offer(previous[top.left], top.left);
  }
  std::erase(symbols, Vocabulary::absent);
}

void Bpe::encode(std::string_view word, Ids& out) const {
  std::vector<int32_t> ids;
  std::string spelled;
  if (raw_bytes_ && (!by_table_ || ignore_merges_)) {
    for (const char byte : word) unicode::append(spelled, byte_to_point(static_cast<uint8_t>(byte)));
  }
  if (ignore_merges_) {
    const int32_t whole = vocabulary_.find(raw_bytes_ ? std::string_view(spelled) : word);
    if (whole != Vocabulary::absent) return out.push_back(whole);
  }
  if (by_table_) {
    ids.reserve(word.size());
    for (const char byte : word) {
      const int32_t id = byte_level_[static_cast<uint8_t>(byte)];
      if (id != Vocabulary::absent) ids.push_back(id);
    }
  } else {
    ids = symbols(raw_bytes_ ? std::string_view(spelled) : word);
  }
  ids.size() <= 64 ? merge_short(ids) : merge_long(ids);
  out.insert(out.end(), ids.begin(), ids.end());
}

struct ByteLevelAlphabet {
  std::array<char32_t, 256> point;
  std::array<int16_t, 512> byte;
  ByteLevelAlphabet() {
    byte.fill(-1);
    char32_t next = 256;
    for (int b = 0; b < 256; ++b) {
      const bool printable = (b >= '!' && b <= '~') || (b >= 0xA1 && b != 0xAD);
      point[b] = printable ? static_cast<char32_t>(b) : next++;
      byte[point[b]] = static_cast<int16_t>(b);
    }
  }
};
const ByteLevelAlphabet alphabet;

}  // namespace

char32_t byte_to_point(uint8_t byte) {
  return alphabet.point[byte];
}
int point_to_byte(char32_t point) {
  return point < 512 ? alphabet.byte[point] : -1;
}

std::unique_ptr<Model> make_bpe(const Json& json, bool raw_bytes, const std::string& where) {
  return std::make_unique<Bpe>(json, raw_bytes, where);
}

}  // namespace dept
