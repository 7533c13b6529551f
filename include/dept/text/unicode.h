// UTF-8 and character classes, as the `tokenizers` library sees them (each class of the Unicode version that it has there).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dept::unicode {

/// Bits of a character's class. `number` is Oniguruma's \p{N}, `numeric` Rust's char::is_numeric, a later Unicode; `punctuation`,
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

void append(std::string& out, char32_t point);

/// What Python's str.isspace takes for white space.
bool is_python_space(char32_t point);
/// Without what Python's str.strip takes off both ends; the text is valid UTF-8.
std::string_view strip(std::string_view text);

/// Appends the lower case of one character, whatever stands around it (as Rust's char::to_lowercase).
void append_lower(char32_t point, std::string& out);

}  // namespace dept::unicode
