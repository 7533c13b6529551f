// UTF-8 and character classes, as the `tokenizers` library sees them (each class of the Unicode version that it has there).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dept::unicode {

/// Bits of classes(). `number` is Oniguruma's \p{N}, `numeric` Rust's char::is_numeric, a later Unicode; `punctuation`,
/// `other` (Cc, Cf, Cn, Co) and `nonspacing` (Mn) are those of BERT's parts; `word` is \w.
enum Class : uint32_t {
  letter = 1 << 0,
  number = 1 << 1,
  numeric = 1 << 2,
  space = 1 << 3,
  word = 1 << 4,
  punctuation = 1 << 5,
  other = 1 << 6,
  nonspacing = 1 << 7,
  combining = 1 << 8,
};

// The tables of unicode_tables.cpp. A class value holds the bits above, from bit 16 the grapheme class, from bit 24 the conjunct
// class.
struct ClassRange {
  uint32_t first, last, value;
};
struct CategoryRange {
  uint32_t first, last;
  char category[3];
};
struct LowerRange {
  uint32_t first, last;
  int32_t distance;  // to the lower case
};
extern const ClassRange class_ranges[];
extern const size_t class_range_count;
extern const CategoryRange newer_ranges[];
extern const size_t newer_range_count;
extern const LowerRange newer_lower[];
extern const size_t newer_lower_count;

/// Two-level table over all code points.
class ClassTable {
 public:
  ClassTable();
  uint32_t operator[](char32_t point) const { return values_[pages_[point >> 8] + (point & 0xFF)]; }

 private:
  uint32_t pages_[0x1100];
  std::vector<uint32_t> values_;
};
extern const ClassTable classes;

struct Decoded {
  char32_t point;
  uint32_t length;
};

/// The code point at `at`; the text is valid UTF-8 and at < text.size().
inline Decoded decode(std::string_view text, size_t at) {
  const auto* p = reinterpret_cast<const uint8_t*>(text.data()) + at;
  if (p[0] < 0x80) return {p[0], 1};
  if (p[0] < 0xE0) return {static_cast<char32_t>((p[0] & 0x1F) << 6 | (p[1] & 0x3F)), 2};
  if (p[0] < 0xF0) return {static_cast<char32_t>((p[0] & 0x0F) << 12 | (p[1] & 0x3F) << 6 | (p[2] & 0x3F)), 3};
  return {static_cast<char32_t>((p[0] & 0x07) << 18 | (p[1] & 0x3F) << 12 | (p[2] & 0x3F) << 6 | (p[3] & 0x3F)), 4};
}

/// The code point that ends just before `end` > 0.
Decoded decode_before(std::string_view text, size_t end);

void append(std::string& out, char32_t point);
std::string encode(char32_t point);
size_t count_points(std::string_view text);

/// Each broken part of a UTF-8 sequence becomes one U+FFFD (the "maximal subpart" rule of Unicode 15, 3.9).
std::string replace_invalid(std::string_view bytes);

/// The end of the extended grapheme cluster (UAX #29) that starts at `at`.
size_t cluster_end(std::string_view text, size_t at);

}  // namespace dept::unicode
