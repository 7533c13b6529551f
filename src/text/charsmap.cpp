// SentencePiece's character map: a darts-clone double array, then the replacements, each ended by a zero byte.
#include <cstring>
#include <optional>
#include <vector>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "text/normalizer.h"
#include "text/unicode.h"

namespace dept {
namespace {

std::string decode_base64(std::string_view text, const std::string& where) {
  static constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  int8_t value[256];
  std::memset(value, -1, sizeof value);
  for (size_t i = 0; i < alphabet.size(); ++i) value[static_cast<uint8_t>(alphabet[i])] = static_cast<int8_t>(i);
  const size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  if (text.size() % 4 != 0) fail(Code::bad_input, where, "base64", str(text.size(), " characters"));
  text.remove_suffix(padding);
  std::string out;
  out.reserve(text.size() / 4 * 3 + 3);
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const int8_t digit = value[static_cast<uint8_t>(c)];
    if (digit < 0) fail(Code::bad_input, where, "base64", quote(std::string_view(&c, 1)));
    bits = bits << 6 | static_cast<uint32_t>(digit);
    count += 6;
    if (count >= 8) {
      count -= 8;
      out += static_cast<char>(bits >> count & 0xFF);
    }
  }
  return out;
}

class Charsmap : public Normalizer {
 public:
  Charsmap(std::string_view base64, const std::string& where);
  bool apply(std::string_view text, std::string& out) const override;

 private:
  // A unit of the double array: offset to the children, label, and whether a value hangs on it (darts-clone).
  static bool has_leaf(uint32_t unit) { return unit >> 8 & 1; }
  static uint32_t label(uint32_t unit) { return unit & (uint32_t{1} << 31 | 0xFF); }
  static uint32_t offset(uint32_t unit) { return unit >> 10 << (unit >> 6 & 8); }
  static uint32_t leaf_value(uint32_t unit) { return unit & ~(uint32_t{1} << 31); }

  void check(const std::string& where) const;
  std::optional<std::string_view> find(std::string_view chunk) const;
  void put(std::string_view text, size_t begin, size_t end, std::string& out) const;

  std::vector<uint32_t> units_;
  std::string replacements_;
  bool plain_[128];  // ASCII characters that stay as they are
};

Charsmap::Charsmap(std::string_view base64, const std::string& where) {
  const std::string bytes = decode_base64(base64, where);
  uint32_t size = 0;
  if (bytes.size() >= 4) std::memcpy(&size, bytes.data(), 4);
  if (size == 0 || size % 4 != 0 || size > bytes.size() - 4)
    fail(Code::bad_input, where, str("a character map of at most ", bytes.size(), " bytes"), str("one that says ", size));
  units_.resize(size / 4);
  std::memcpy(units_.data(), bytes.data() + 4, size);
  replacements_ = bytes.substr(4 + size);
  const size_t broken = find_invalid_utf8(replacements_);
  if (broken != std::string_view::npos) fail(Code::bad_input, where, "replacements in UTF-8", str("a broken byte at ", broken));
  check(where);
  for (int c = 0; c < 128; ++c) {
    const char byte = static_cast<char>(c);
    plain_[c] = c != '\r' && !find(std::string_view(&byte, 1));
  }
}

// Every unit that a text can lead to must lie in the array, and every value in the replacements.
void Charsmap::check(const std::string& where) const {
  const auto require_inside = [&](uint64_t index, size_t size, std::string_view what) {
    if (index >= size) fail(Code::bad_input, where, str(what, " below ", size), str(index));
  };
  std::vector<bool> seen(units_.size());
  std::vector<uint32_t> todo{offset(units_[0])};  // bases: 0 ^ the root's offset
  while (!todo.empty()) {
    const uint32_t base = todo.back();
    todo.pop_back();
    require_inside(base | 0xFF, units_.size(), "units of the character map");
    if (seen[base]) continue;
    seen[base] = true;
    for (uint32_t byte = 1; byte < 256; ++byte) {
      const uint32_t at = base ^ byte, unit = units_[at];
      if (label(unit) != byte) continue;
      const uint32_t next = at ^ offset(unit);
      if (has_leaf(unit)) {
        require_inside(next, units_.size(), "units of the character map");
        const uint32_t value = leaf_value(units_[next]);
        require_inside(value, replacements_.size() + 1, "places in the replacements");
        if (value < replacements_.size() && (replacements_[value] & 0xC0) == 0x80)
          fail(Code::bad_input, where, "replacements that begin with a character", str("one in the middle of it at ", value));
      }
      todo.push_back(next);
    }
  }
}

// The replacement of the SHORTEST key that begins the chunk, as the library takes it.
std::optional<std::string_view> Charsmap::find(std::string_view chunk) const {
  uint32_t at = offset(units_[0]);
  for (const char c : chunk) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte == 0) break;
    at ^= byte;
    const uint32_t unit = units_[at];
    if (label(unit) != byte) break;
    at ^= offset(unit);
    if (has_leaf(unit)) {
      const uint32_t value = leaf_value(units_[at]);
      return std::string_view(replacements_).substr(value, replacements_.find('\0', value) - value);
    }
  }
  return std::nullopt;
}

// One grapheme cluster: looked up whole when it is short, else a character at a time.
void Charsmap::put(std::string_view text, size_t begin, size_t end, std::string& out) const {
  if (end - begin < 6) {
    if (const auto replacement = find(text.substr(begin, end - begin))) {
      out += *replacement;
      return;
    }
  }
  while (begin < end) {
    const std::string_view part = text.substr(begin, unicode::decode(text, begin).length);
    out += find(part).value_or(part);
    begin += part.size();
  }
}

bool Charsmap::apply(std::string_view text, std::string& out) const {
  out.clear();
  for (size_t at = 0; at < text.size();) {
    // ASCII between ASCII is a cluster of its own.
    size_t end = at;
    while (end < text.size() && static_cast<uint8_t>(text[end]) < 128 && plain_[static_cast<uint8_t>(text[end])]) ++end;
    if (end < text.size() && end > at && static_cast<uint8_t>(text[end]) >= 128) --end;
    out += text.substr(at, end - at);
    at = end;
    if (at == text.size()) break;
    end = unicode::cluster_end(text, at);
    put(text, at, end, out);
    at = end;
  }
  return true;
}

}  // namespace

std::unique_ptr<Normalizer> make_charsmap(std::string_view base64, const std::string& where) {
  return std::make_unique<Charsmap>(base64, where);
}

}  // namespace dept
