// BERT's clean-up: controls out, blanks around Chinese characters, accents off, lower case.
#include "dept/base/error.h"
#include "text/json_fields.h"
#include "text/normal_form.h"
#include "text/normalizer.h"
#include "text/unicode.h"

namespace dept {
namespace {

// The blocks that the library gives blanks, gaps included.
bool is_chinese(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
         (c >= 0x2A700 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) || (c >= 0xF900 && c <= 0xFAFF) ||
         (c >= 0x2F800 && c <= 0x2FA1F);
}

class BertNormalizer : public Normalizer {
 public:
  BertNormalizer(const Json& json, const std::string& where);
  bool apply(std::string_view text, std::string& out) const override;

 private:
  static constexpr char dropped = '\xFF';
  void put(std::string_view text, std::string& out) const;
  void clean(std::string_view text, std::string& out) const;

  bool clean_text_, chinese_, strip_accents_, lowercase_;
  char ascii_[128];  // what becomes of each ASCII character
};

BertNormalizer::BertNormalizer(const Json& json, const std::string& where) {
  clean_text_ = value_or(json, "clean_text", true, where);
  chinese_ = value_or(json, "handle_chinese_chars", true, where);
  lowercase_ = value_or(json, "lowercase", true, where);
  strip_accents_ = value_or(json, "strip_accents", lowercase_, where);
  for (char32_t c = 0; c < 128; ++c) {
    const bool control = unicode::classes[c] & unicode::other, blank = unicode::classes[c] & unicode::space;
    const auto kept = static_cast<char>(lowercase_ && c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    ascii_[c] = !clean_text_ ? kept : control ? dropped : blank ? ' ' : kept;
  }
}

// Stretches of ASCII that stays ASCII, and between them whatever else, where characters may act on each other.
bool BertNormalizer::apply(std::string_view text, std::string& out) const {
  out.clear();
  out.reserve(text.size());
  const auto becomes = [&](size_t at) {
    const auto byte = static_cast<uint8_t>(text[at]);
    return byte < 128 ? ascii_[byte] : dropped;
  };
  for (size_t at = 0; at < text.size();) {
    for (char c; at < text.size() && (c = becomes(at)) != dropped; ++at) out += c;
    const size_t begin = at;
    while (at < text.size() && becomes(at) == dropped) ++at;
    if (begin < at) put(text.substr(begin, at - begin), out);
  }
  return true;
}

void BertNormalizer::put(std::string_view text, std::string& out) const {
  std::string cleaned, decomposed;
  if (clean_text_ || chinese_) {
    clean(text, cleaned);
    text = cleaned;
  }
  if (strip_accents_ && unicode::to_form(unicode::Form::nfd, text, decomposed)) text = decomposed;
  for (size_t at = 0; at < text.size();) {
    const auto [point, length] = unicode::decode(text, at);
    at += length;
    if (strip_accents_ && unicode::classes[point] & unicode::nonspacing) continue;
    lowercase_ ? unicode::append_lower(point, out) : unicode::append(out, point);
  }
}

void BertNormalizer::clean(std::string_view text, std::string& out) const {
  for (size_t at = 0; at < text.size();) {
    const auto [point, length] = unicode::decode(text, at);
    at += length;
    const uint32_t bits = unicode::classes[point];
    if (clean_text_ && bits & unicode::other) continue;
    const bool apart = chinese_ && is_chinese(point);
    if (apart) out += ' ';
    unicode::append(out, clean_text_ && bits & unicode::space ? U' ' : point);
    if (apart) out += ' ';
  }
}

}  // namespace

std::unique_ptr<Normalizer> make_bert_normalizer(const Json& json, const std::string& where) {
  return std::make_unique<BertNormalizer>(json, where);
}

}  // namespace dept
