#include "text/normalizer.h"

#include <vector>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "text/json_fields.h"
#include "text/model.h"
#include "text/normal_form.h"
#include "text/pattern.h"
#include "text/unicode.h"

namespace dept {
namespace {

class NormalizerSequence : public Normalizer {
 public:
  explicit NormalizerSequence(std::vector<std::unique_ptr<Normalizer>> steps) : steps_(std::move(steps)) {}
  bool apply(std::string_view text, std::string& out) const override {
    std::string made;
    bool changed = false;
    for (const auto& step : steps_) {
      if (!step->apply(changed ? std::string_view(out) : text, made)) continue;
      out.swap(made);
      require_bounded(text.size(), out.size());
      changed = true;
    }
    return changed;
  }

 private:
  std::vector<std::unique_ptr<Normalizer>> steps_;
};

class Prepend : public Normalizer {
 public:
  explicit Prepend(std::string mark) : mark_(std::move(mark)) {}
  bool apply(std::string_view text, std::string& out) const override {
    if (text.empty()) return false;
    out.assign(mark_).append(text);
    return true;
  }

 private:
  std::string mark_;
};

class Replace : public Normalizer {
 public:
  Replace(Pattern pattern, std::string content) : pattern_(std::move(pattern)), content_(std::move(content)) {}
  bool apply(std::string_view text, std::string& out) const override { return pattern_.replace_all(text, content_, out); }

 private:
  Pattern pattern_;
  std::string content_;
};

class Strip : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  bool apply(std::string_view text, std::string& out) const override {
    const auto is_space = [](char32_t point) { return (unicode::classes[point] & unicode::space) != 0; };
    while (left_ && !text.empty() && is_space(unicode::decode(text, 0).point))
      text.remove_prefix(unicode::decode(text, 0).length);
    while (right_ && !text.empty() && is_space(unicode::decode_before(text, text.size()).point))
      text.remove_suffix(unicode::decode_before(text, text.size()).length);
    out.assign(text);
    return true;
  }

 private:
  bool left_, right_;
};

class NormalForm : public Normalizer {
 public:
  explicit NormalForm(unicode::Form form) : form_(form) {}
  bool apply(std::string_view text, std::string& out) const override { return unicode::to_form(form_, text, out); }

 private:
  unicode::Form form_;
};

std::unique_ptr<Normalizer> make_normal_form(std::string_view name) {
  using unicode::Form;
  for (const auto& [known, form] : {std::pair("NFC", Form::nfc), {"NFD", Form::nfd}, {"NFKC", Form::nfkc}, {"NFKD", Form::nfkd}})
    if (name == known) return std::make_unique<NormalForm>(form);
  return nullptr;
}

// Character by character: `map` appends what becomes of each.
template <class Map>
class ByCharacter : public Normalizer {
 public:
  explicit ByCharacter(Map map) : map_(std::move(map)) {}
  bool apply(std::string_view text, std::string& out) const override {
    out.clear();
    for (size_t at = 0; at < text.size();) {
      const auto [point, length] = unicode::decode(text, at);
      map_(point, out);
      at += length;
    }
    return true;
  }

 private:
  Map map_;
};

template <class Map>
std::unique_ptr<Normalizer> by_character(Map map) {
  return std::make_unique<ByCharacter<Map>>(std::move(map));
}

std::unique_ptr<Normalizer> make_byte_level() {
  return by_character([](char32_t point, std::string& out) {
    for (const char byte : unicode::encode(point)) unicode::append(out, byte_to_point(static_cast<uint8_t>(byte)));
  });
}

// The clean-up of Google's NMT.
std::unique_ptr<Normalizer> make_nmt() {
  return by_character([](char32_t c, std::string& out) {
    if ((c >= 1 && c <= 8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F) return;
    const bool space = c == 9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 || (c >= 0x200B && c <= 0x200F) || c == 0x2028 ||
                       c == 0x2029 || c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
    unicode::append(out, space ? U' ' : c);
  });
}

std::unique_ptr<Normalizer> make_strip_accents() {
  return by_character([](char32_t point, std::string& out) {
    if (!(unicode::classes[point] & unicode::combining)) unicode::append(out, point);
  });
}

std::unique_ptr<Normalizer> make_sequence(const Json& json, const std::string& where) {
  const Json& list = member(json, "normalizers", where);
  if (!list.is_array()) fail(Code::bad_input, where + ": normalizers", "a list", kind_of(list));
  std::vector<std::unique_ptr<Normalizer>> steps;
  for (const Json& step : list)
    if (auto made = make_normalizer(step, str(where, "[", steps.size(), "]"))) steps.push_back(std::move(made));
  return std::make_unique<NormalizerSequence>(std::move(steps));
}

}  // namespace

std::unique_ptr<Normalizer> make_normalizer(const Json& json, const std::string& where) {
  if (json.is_null()) return nullptr;
  const auto type = require<std::string>(json, "type", where);
  if (type == "Sequence") return make_sequence(json, where);
  if (type == "Precompiled") {
    // An empty map is SentencePiece's "identity".
    const auto map = value_or<std::string>(json, "precompiled_charsmap", "", where);
    return map.empty() ? nullptr : make_charsmap(map, where + ": precompiled_charsmap");
  }
  if (type == "Prepend") return std::make_unique<Prepend>(require<std::string>(json, "prepend", where));
  if (type == "Replace") return std::make_unique<Replace>(Pattern(json, where), require<std::string>(json, "content", where));
  if (type == "Strip")
    return std::make_unique<Strip>(require<bool>(json, "strip_left", where), require<bool>(json, "strip_right", where));
  if (auto form = make_normal_form(type)) return form;
  if (type == "Lowercase") return by_character(unicode::append_lower);
  if (type == "BertNormalizer") return make_bert_normalizer(json, where);
  if (type == "ByteLevel") return make_byte_level();
  if (type == "Nmt") return make_nmt();
  if (type == "StripAccents") return make_strip_accents();
  fail(Code::bad_input, where + ": type", "a normalizer that is known here", quote(type));
}

}  // namespace dept
