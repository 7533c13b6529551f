// The tables behind dept/text/unicode.h, and what tokenizers alone need of Unicode.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "dept/text/unicode.h"

namespace dept::unicode {

// The tables of unicode_tables.cpp. A class value holds the bits of Class, from bit 16 the grapheme class, from bit 24 the
// conjunct class.
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

/// The code point that ends just before `end` > 0.
Decoded decode_before(std::string_view text, size_t end);

std::string encode(char32_t point);
size_t count_points(std::string_view text);

/// Each broken part of a UTF-8 sequence becomes one U+FFFD (the "maximal subpart" rule of Unicode 15, 3.9).
std::string replace_invalid(std::string_view bytes);

/// The end of the extended grapheme cluster (UAX #29) that starts at `at`.
size_t cluster_end(std::string_view text, size_t at);

}  // namespace dept::unicode
