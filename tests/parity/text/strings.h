// The strings of the tokenizer tests, made the same way as by tests/parity/make/text_strings.py.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dept/base/json.h"
#include "dept/text/tokenizer.h"
#include "text/unicode.h"

namespace dept {

inline fs::path text_data() {
  return fs::path(DEPT_TEST_DATA) / "parity/data/text";
}

class Strings {
 public:
  Strings() {
    const Json json = read_json(text_data() / "strings.json");
    fragments_ = require<std::vector<std::string>>(json, "fragments", "strings.json");
    words_ = require<std::vector<std::string>>(json, "words", "strings.json");
    blocks_ = require<std::vector<int64_t>>(json, "blocks", "strings.json");
  }

  std::string operator[](uint64_t index) const {
    Random random{index * 0x2545F4914F6CDD1D};
    const uint64_t count = 1 + random.below(16), blanks = random.below(3);
    std::string out;
    for (uint64_t i = 0; i < count; ++i) {
      if (i > 0 && blanks > 0) out += ' ';
      const std::string piece = part(random);
      const uint64_t repeats = random.below(100) == 0 ? 1 + random.below(200) : 1;
      for (uint64_t k = 0; k < repeats; ++k) out += piece;
    }
    return out;
  }

 private:
  struct Random {  // SplitMix64
    uint64_t state;
    uint64_t below(uint64_t limit) {
      uint64_t z = state += 0x9E3779B97F4A7C15;
      z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
      z = (z ^ z >> 27) * 0x94D049BB133111EB;
      return (z ^ z >> 31) % limit;
    }
  };

  std::string part(Random& random) const {
    const uint64_t kind = random.below(16);
    if (kind < 7) return fragments_[random.below(fragments_.size())];
    if (kind < 12) return words_[random.below(words_.size())];
    uint64_t point;
    if (kind == 15) {
      point = random.below(0x110000);
    } else {
      point = static_cast<uint64_t>(blocks_[random.below(blocks_.size())]);
      point += random.below(0x80);
    }
    return unicode::encode(point >= 0xD800 && point < 0xE000 ? 0xFFFD : static_cast<char32_t>(point));
  }

  std::vector<std::string> fragments_, words_;
  std::vector<int64_t> blocks_;
};

/// FNV-1a, folded to 32 bits.
inline uint32_t digest(std::string_view text) {
  uint64_t hash = 0xCBF29CE484222325;
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001B3;
  return static_cast<uint32_t>(hash >> 32) ^ static_cast<uint32_t>(hash);
}

/// Of the ids' decimal text.
inline uint32_t digest(const Ids& ids) {
  std::string text;
  for (const int64_t id : ids) {
    if (!text.empty()) text += ',';
    text += std::to_string(id);
  }
  return digest(text);
}

}  // namespace dept
