#include "text/pre_tokenizer.h"

#include <algorithm>
#include <cstring>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "text/json_fields.h"
#include "text/model.h"
#include "text/pattern.h"
#include "text/unicode.h"

namespace dept {
namespace {

using Steps = std::vector<std::unique_ptr<PreTokenizer>>;

void put(const Piece& from, size_t begin, size_t end, std::vector<Piece>& out) {
  if (begin < end) out.push_back({from.text.substr(begin, end - begin), from.at_start && begin == 0});
}

enum class Behavior { removed, isolated, contiguous, merged_with_previous, merged_with_next };

Behavior read_behavior(const Json& json, const char* fallback, const std::string& where) {
  const auto name =
      fallback ? value_or<std::string>(json, "behavior", fallback, where) : require<std::string>(json, "behavior", where);
  if (name == "Removed") return Behavior::removed;
  if (name == "Isolated") return Behavior::isolated;
  if (name == "Contiguous") return Behavior::contiguous;
  if (name == "MergedWithPrevious") return Behavior::merged_with_previous;
  if (name == "MergedWithNext") return Behavior::merged_with_next;
  fail(Code::bad_input, where + ": behavior", "Removed, Isolated, Contiguous, MergedWithPrevious or MergedWithNext", quote(name));
}

// A text as consecutive spans, each a match or what lies between matches, joined or dropped by `behavior`.
class Splitter {
 public:
  Splitter(const Piece& piece, Behavior behavior) : piece_(piece), behavior_(behavior) {}

  void add(size_t begin, size_t end, bool match) {
    if (begin < end || match) spans_.push_back({begin, end, match});
  }

  void finish(std::vector<Piece>& out) {
    if (behavior_ == Behavior::merged_with_next) std::reverse(spans_.begin(), spans_.end());
    bool previous_match = false;
    std::vector<Span> joined;
    for (const Span& span : spans_) {
      const bool join = !joined.empty() && joins(span.match, previous_match);
      if (join) {
        joined.back().begin = std::min(joined.back().begin, span.begin);
        joined.back().end = std::max(joined.back().end, span.end);
      } else if (behavior_ != Behavior::removed || !span.match) {
        joined.push_back(span);
      }
      previous_match = span.match;
    }
    if (behavior_ == Behavior::merged_with_next) std::reverse(joined.begin(), joined.end());
    for (const Span& span : joined) put(piece_, span.begin, span.end, out);
  }

 private:
  struct Span {
    size_t begin, end;
    bool match;
  };
  bool joins(bool match, bool previous_match) const {
    switch (behavior_) {
      case Behavior::contiguous:
        return match == previous_match;
      case Behavior::merged_with_previous:
      case Behavior::merged_with_next:
        return match && !previous_match;
      default:
        return false;
    }
  }
  const Piece& piece_;
  Behavior behavior_;
  std::vector<Span> spans_;
};

class Split : public PreTokenizer {
 public:
  Split(const Json& json, const std::string& where)
      : pattern_(json, where), behavior_(read_behavior(json, nullptr, where)), invert_(value_or(json, "invert", false, where)) {}

  void cut(const Piece& piece, TextArena&, std::vector<Piece>& out) const override {
    thread_local std::vector<Match> matches;
    pattern_.find_all(piece.text, matches);
    size_t at = 0;
    if (behavior_ == Behavior::isolated) {  // the usual case: what matches and what does not are pieces alike
      for (const Match& match : matches) {
        put(piece, at, match.begin, out);
        put(piece, match.begin, match.end, out);
        at = match.end;
      }
      return put(piece, at, piece.text.size(), out);
    }
    Splitter splitter(piece, behavior_);
    for (const Match& match : matches) {
      if (at < match.begin) splitter.add(at, match.begin, invert_);
      splitter.add(match.begin, match.end, !invert_);
      at = match.end;
    }
    if (at < piece.text.size()) splitter.add(at, piece.text.size(), invert_);
    splitter.finish(out);
  }

 private:
  Pattern pattern_;
  Behavior behavior_;
  bool invert_;
};

class Gpt2Split : public PreTokenizer {
 public:
  void cut(const Piece& piece, TextArena&, std::vector<Piece>& out) const override {
    for (size_t at = 0; at < piece.text.size();) {
      const size_t end = gpt2_match_end(piece.text, at);
      put(piece, at, end, out);
      at = end;
    }
  }
};

// Each character that `is_match` picks is a match of its own.
template <class IsMatch>
class CharacterSplit : public PreTokenizer {
 public:
  CharacterSplit(IsMatch is_match, Behavior behavior) : is_match_(is_match), behavior_(behavior) {}
  void cut(const Piece& piece, TextArena&, std::vector<Piece>& out) const override {
    if (behavior_ == Behavior::isolated || behavior_ == Behavior::removed) return cut_simply(piece, out);
    Splitter splitter(piece, behavior_);
    for_each(piece, [&](size_t begin, size_t end, bool match) { splitter.add(begin, end, match); });
    splitter.finish(out);
  }

 private:
  void cut_simply(const Piece& piece, std::vector<Piece>& out) const {
    for_each(piece, [&](size_t begin, size_t end, bool match) {
      if (!match || behavior_ == Behavior::isolated) put(piece, begin, end, out);
    });
  }
  template <class Visit>
  void for_each(const Piece& piece, Visit visit) const {
    size_t pending = 0;
    for (size_t at = 0; at < piece.text.size();) {
      const auto [point, length] = unicode::decode(piece.text, at);
      if (is_match_(point)) {
        if (pending < at) visit(pending, at, false);
        visit(at, at + length, true);
        pending = at + length;
      }
      at += length;
    }
    if (pending < piece.text.size()) visit(pending, piece.text.size(), false);
  }
  IsMatch is_match_;
  Behavior behavior_;
};

auto in_class(uint32_t bits) {
  return [bits](char32_t point) { return (unicode::classes[point] & bits) != 0; };
}

template <class IsMatch>
std::unique_ptr<PreTokenizer> character_split(IsMatch is_match, Behavior behavior) {
  return std::make_unique<CharacterSplit<IsMatch>>(is_match, behavior);
}

// Words are runs of \w or of what is neither \w nor white space; the rest goes.
class Whitespace : public PreTokenizer {
 public:
  void cut(const Piece& piece, TextArena&, std::vector<Piece>& out) const override {
    const auto kind_at = [&](size_t at) {
      const uint32_t bits = unicode::classes[unicode::decode(piece.text, at).point];
      return bits & unicode::word ? 1 : bits & unicode::space ? 0 : 2;
    };
    for (size_t at = 0; at < piece.text.size();) {
      const int kind = kind_at(at);
      size_t end = at;
      while (end < piece.text.size() && kind_at(end) == kind) end += unicode::decode(piece.text, end).length;
      if (kind != 0) put(piece, at, end, out);
      at = end;
    }
  }
};

class PrefixSpace : public PreTokenizer {
 public:
  void cut(const Piece& piece, TextArena& arena, std::vector<Piece>& out) const override {
    if (piece.text.starts_with(' ')) return out.push_back(piece);
    char* room = arena.room(piece.text.size() + 1);
    room[0] = ' ';
    std::memcpy(room + 1, piece.text.data(), piece.text.size());
    out.push_back({arena.keep(piece.text.size() + 1), piece.at_start});
  }
};

class ByteLevel : public PreTokenizer {
 public:
  bool is_byte_level() const override { return true; }
  void cut(const Piece& piece, TextArena& arena, std::vector<Piece>& out) const override {
    std::string spelled;
    for (const char byte : piece.text) unicode::append(spelled, byte_to_point(static_cast<uint8_t>(byte)));
    std::memcpy(arena.room(spelled.size()), spelled.data(), spelled.size());
    out.push_back({arena.keep(spelled.size()), piece.at_start});
  }
};

// Blanks become a visible mark, words begin with one.
class Metaspace : public PreTokenizer {
 public:
  Metaspace(const Json& json, const std::string& where) {
    mark_ = unicode::encode(read_character(json, "replacement", where));
    auto scheme = value_or<std::string>(json, "prepend_scheme", "always", where);
    if (!value_or(json, "add_prefix_space", true, where)) {
      if (json.contains("prepend_scheme") && scheme != "never")
        fail(Code::bad_input, where, "add_prefix_space to agree with prepend_scheme", str("false and ", quote(scheme)));
      scheme = "never";
    }
    if (scheme != "always" && scheme != "first" && scheme != "never")
      fail(Code::bad_input, where + ": prepend_scheme", "always, first or never", quote(scheme));
    always_ = scheme == "always";
    first_ = scheme == "first";
    split_ = value_or(json, "split", true, where);
  }

  void cut(const Piece& piece, TextArena& arena, std::vector<Piece>& out) const override {
    const std::string_view text = piece.text;
    const auto blanks = static_cast<size_t>(std::count(text.begin(), text.end(), ' '));
    char* const room = arena.room(text.size() + (blanks + 1) * mark_.size());
    char* end = room;
    const auto put_text = [&](std::string_view part) {
      std::memcpy(end, part.data(), part.size());
      end += part.size();
    };
    if ((always_ || (first_ && piece.at_start)) && !text.starts_with(' ') && !text.starts_with(mark_)) put_text(mark_);
    for (size_t at = 0; at < text.size();) {
      const size_t blank = std::min(text.find(' ', at), text.size());
      put_text(text.substr(at, blank - at));
      if (blank < text.size()) put_text(mark_);
      at = blank + 1;
    }
    const Piece marked{arena.keep(static_cast<size_t>(end - room)), piece.at_start};
    if (!split_) return out.push_back(marked);
    for (size_t at = 0; at < marked.text.size();) {
      const size_t next = std::min(marked.text.find(mark_, at + 1), marked.text.size());
      put(marked, at, next, out);
      at = next;
    }
  }

 private:
  std::string mark_;
  bool always_, first_, split_;
};

void add_steps(const Json& json, const std::string& where, Steps& out) {
  if (json.is_null()) return;
  const auto type = require<std::string>(json, "type", where);
  if (type == "Sequence") {
    const Json& list = member(json, "pretokenizers", where);
    if (!list.is_array()) fail(Code::bad_input, where + ": pretokenizers", "a list", kind_of(list));
    for (size_t i = 0; i < list.size(); ++i) add_steps(list[i], str(where, "[", i, "]"), out);
  } else if (type == "ByteLevel") {
    if (value_or(json, "add_prefix_space", true, where)) out.push_back(std::make_unique<PrefixSpace>());
    if (value_or(json, "use_regex", true, where)) out.push_back(std::make_unique<Gpt2Split>());
    out.push_back(std::make_unique<ByteLevel>());
  } else if (type == "Split") {
    out.push_back(std::make_unique<Split>(json, where));
  } else if (type == "Digits") {
    const bool each = value_or(json, "individual_digits", false, where);
    out.push_back(character_split(in_class(unicode::numeric), each ? Behavior::isolated : Behavior::contiguous));
  } else if (type == "WhitespaceSplit") {
    out.push_back(character_split(in_class(unicode::space), Behavior::removed));
  } else if (type == "Whitespace") {
    out.push_back(std::make_unique<Whitespace>());
  } else if (type == "Punctuation") {
    out.push_back(character_split(in_class(unicode::punctuation), read_behavior(json, "Isolated", where)));
  } else if (type == "BertPreTokenizer") {
    out.push_back(character_split(in_class(unicode::space), Behavior::removed));
    out.push_back(character_split(in_class(unicode::punctuation), Behavior::isolated));
  } else if (type == "CharDelimiterSplit") {
    const char32_t delimiter = read_character(json, "delimiter", where);
    out.push_back(character_split([delimiter](char32_t point) { return point == delimiter; }, Behavior::removed));
  } else if (type == "Metaspace") {
    out.push_back(std::make_unique<Metaspace>(json, where));
  } else {
    fail(Code::bad_input, where + ": type", "a pre-tokenizer that is known here", quote(type));
  }
}

}  // namespace

char* TextArena::room(size_t size) {
  if (blocks_.empty() || blocks_.back().second - used_ < size) {
    const size_t block = std::max(size, block_size);
    blocks_.emplace_back(std::make_unique<char[]>(block), block);
    used_ = 0;
  }
  return blocks_.back().first.get() + used_;
}

std::string_view TextArena::keep(size_t size) {
  const std::string_view kept(blocks_.back().first.get() + used_, size);
  used_ += size;
  return kept;
}

void TextArena::clear() {
  if (!blocks_.empty()) {
    blocks_.resize(1);
    if (blocks_[0].second > block_size) blocks_.clear();
  }
  used_ = 0;
}

Steps make_pre_tokenizers(const Json& json, const std::string& where) {
  Steps steps;
  add_steps(json, where, steps);
  return steps;
}

}  // namespace dept
