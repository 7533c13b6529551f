#include "text/unicode.h"

#include <algorithm>

namespace dept::unicode {
namespace {

enum Grapheme : uint32_t {
  any,
  control,
  extend,
  joiner,
  prepend,
  spacing_mark,
  hangul_l,
  hangul_v,
  hangul_t,
  hangul_lv,
  hangul_lvt,
  regional,
  pictographic
};
enum Conjunct : uint32_t { no_conjunct, consonant, linker, conjunct_extend };

Grapheme grapheme(uint32_t value) {
  return static_cast<Grapheme>(value >> 16 & 0xFF);
}
Conjunct conjunct(uint32_t value) {
  return static_cast<Conjunct>(value >> 24);
}

bool hangul_joins(Grapheme left, Grapheme right) {  // GB6 to GB8
  switch (left) {
    case hangul_l:
      return right == hangul_l || right == hangul_v || right == hangul_lv || right == hangul_lvt;
    case hangul_v:
    case hangul_lv:
      return right == hangul_v || right == hangul_t;
    case hangul_t:
    case hangul_lvt:
      return right == hangul_t;
    default:
      return false;
  }
}

// What of the cluster so far decides whether it goes on.
struct ClusterState {
  explicit ClusterState(uint32_t value) { add(value); }

  bool joins(uint32_t value) const {
    const Grapheme next = grapheme(value);
    if (last == control || next == control) return false;                         // GB4, GB5
    if (next == extend || next == joiner || next == spacing_mark) return true;    // GB9, GB9a
    if (last == prepend || hangul_joins(last, next)) return true;                 // GB9b
    if (linked && conjunct(value) == consonant) return true;                      // GB9c
    if (last == joiner && next == pictographic && after_pictograph) return true;  // GB11
    return last == regional && next == regional && odd_regional;                  // GB12, GB13
  }

  void add(uint32_t value) {
    const Grapheme next = grapheme(value);
    odd_regional = next == regional && !(last == regional && odd_regional);
    if (next == pictographic) {
      after_pictograph = true;
    } else if (next != extend && next != joiner) {
      after_pictograph = false;
    }
    switch (conjunct(value)) {
      case consonant:
        after_consonant = true;
        linked = false;
        break;
      case linker:
        linked = after_consonant;
        break;
      case conjunct_extend:
        break;
      case no_conjunct:
        after_consonant = linked = false;
    }
    last = next;
  }

  Grapheme last = any;
  bool after_pictograph = false, odd_regional = false, after_consonant = false, linked = false;
};

}  // namespace

ClassTable::ClassTable() {
  values_.assign(256, 0);  // the page of unlisted characters
  std::fill(std::begin(pages_), std::end(pages_), 0);
  for (size_t i = 0; i < class_range_count; ++i) {
    const ClassRange& range = class_ranges[i];
    for (uint32_t point = range.first; point <= range.last; ++point) {
      uint32_t& page = pages_[point >> 8];
      if (page == 0) {
        page = static_cast<uint32_t>(values_.size());
        values_.resize(values_.size() + 256, 0);
      }
      values_[page + (point & 0xFF)] = range.value;
    }
  }
}

const ClassTable classes;

Decoded decode_before(std::string_view text, size_t end) {
  size_t at = end - 1;
  while (at > 0 && (text[at] & 0xC0) == 0x80) --at;
  return decode(text, at);
}

void append(std::string& out, char32_t point) {
  const auto byte = [&](char32_t value) { out += static_cast<char>(value); };
  if (point < 0x80) {
    byte(point);
  } else if (point < 0x800) {
    byte(0xC0 | point >> 6);
    byte(0x80 | (point & 0x3F));
  } else if (point < 0x10000) {
    byte(0xE0 | point >> 12);
    byte(0x80 | (point >> 6 & 0x3F));
    byte(0x80 | (point & 0x3F));
  } else {
    byte(0xF0 | point >> 18);
    byte(0x80 | (point >> 12 & 0x3F));
    byte(0x80 | (point >> 6 & 0x3F));
    byte(0x80 | (point & 0x3F));
  }
}

std::string encode(char32_t point) {
  std::string out;
  append(out, point);
  return out;
}

size_t count_points(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string replace_invalid(std::string_view bytes) {
  static constexpr std::string_view replacement = "\xEF\xBF\xBD";
  std::string out;
  out.reserve(bytes.size());
  for (size_t i = 0; i < bytes.size();) {
    const auto first = static_cast<uint8_t>(bytes[i]);
    // Allowed range of the second byte (table 3-7); later ones are 80..BF.
    uint8_t low = 0x80, high = 0xBF;
    size_t length = 0;
    if (first < 0x80)
      length = 1;
    else if (first >= 0xC2 && first < 0xE0)
      length = 2;
    else if (first >= 0xE0 && first < 0xF0)
      length = 3;
    else if (first >= 0xF0 && first < 0xF5)
      length = 4;
    if (first == 0xE0) low = 0xA0;
    if (first == 0xED) high = 0x9F;
    if (first == 0xF0) low = 0x90;
    if (first == 0xF4) high = 0x8F;
    size_t good = length == 0 ? 0 : 1;
    for (; good > 0 && good < length && i + good < bytes.size(); ++good) {
      const auto byte = static_cast<uint8_t>(bytes[i + good]);
      if (byte < low || byte > high) break;
      low = 0x80;
      high = 0xBF;
    }
    if (length > 0 && good == length) {
      out += bytes.substr(i, length);
      i += length;
    } else {
      out += replacement;
      i += std::max<size_t>(good, 1);
    }
  }
  return out;
}

bool is_python_space(char32_t point) {
  return (classes[point] & space) != 0 || (point >= 0x1C && point <= 0x1F);
}

std::string_view strip(std::string_view text) {
  size_t first = text.size(), last = 0;
  for (size_t at = 0; at < text.size();) {
    const auto [point, length] = decode(text, at);
    if (!is_python_space(point)) {
      first = std::min(first, at);
      last = at + length;
    }
    at += length;
  }
  return first < last ? text.substr(first, last - first) : std::string_view();
}

size_t cluster_end(std::string_view text, size_t at) {
  const Decoded first = decode(text, at);
  at += first.length;
  if (first.point == '\r') return at < text.size() && text[at] == '\n' ? at + 1 : at;  // GB3 to GB5
  if (first.point == '\n') return at;
  ClusterState state(classes[first.point]);
  while (at < text.size()) {
    const Decoded next = decode(text, at);
    const uint32_t value = classes[next.point];
    if (next.point == '\r' || next.point == '\n' || !state.joins(value)) break;
    state.add(value);
    at += next.length;
  }
  return at;
}

}  // namespace dept::unicode
