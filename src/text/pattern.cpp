#include "text/pattern.h"

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "text/json_fields.h"
#include "text/unicode.h"

namespace dept {
namespace {

constexpr uint32_t any_class = unicode::letter | unicode::number | unicode::space;

uint32_t class_at(std::string_view text, size_t at) {
  return unicode::classes[unicode::decode(text, at).point] & any_class;
}

// The end of the run of characters of one class.
size_t run_end(std::string_view text, size_t at, uint32_t kind) {
  while (at < text.size()) {
    const auto [point, length] = unicode::decode(text, at);
    if ((unicode::classes[point] & any_class) != kind) break;
    at += length;
  }
  return at;
}

size_t contraction_length(std::string_view rest) {
  for (const std::string_view ending : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"})
    if (rest.starts_with(ending)) return ending.size();
  return 0;
}

}  // namespace

size_t gpt2_match_end(std::string_view text, size_t at) {
  if (text[at] == '\'') {
    const size_t length = contraction_length(text.substr(at, 3));
    if (length > 0) return at + length;
  }
  const size_t word = at + (text[at] == ' ' ? 1 : 0);
  if (word < text.size()) {
    const uint32_t kind = class_at(text, word);
    if (kind != unicode::space) return run_end(text, word, kind);
  }
  // White space: all of it at the end of the text, else all but the last, which goes with the next word or stands alone.
  const size_t end = run_end(text, at, unicode::space);
  if (end == text.size()) return end;
  const size_t last = end - unicode::decode_before(text, end).length;
  return last > at ? last : end;
}

void require_bounded(size_t before, size_t after) {
  constexpr size_t most = 1000;
  if (after > most * (before + most))
    fail(Code::bad_input, "text", str("rules that make it at most ", most, " times as long"),
         str(before, " bytes that became ", after));
}

Pattern::Pattern(const Json& json, const std::string& where) {
  PatternField field = read_pattern(json, where);
  if (!field.regex)
    text_ = std::move(field.text);
  else if (field.text == gpt2_pattern)
    gpt2_ = true;
  else
    regex_ = std::make_unique<Regex>(field.text, where + ": pattern");
}

void Pattern::find_all(std::string_view text, std::vector<Match>& out) const {
  if (regex_) return regex_->find_all(text, out);
  out.clear();
  if (gpt2_) {
    for (size_t at = 0; at < text.size(); at = out.back().end) out.push_back({at, gpt2_match_end(text, at)});
  } else if (!text_.empty()) {
    for (size_t at = text.find(text_); at != std::string_view::npos; at = text.find(text_, at + text_.size()))
      out.push_back({at, at + text_.size()});
  }
}

bool Pattern::replace_all(std::string_view text, std::string_view content, std::string& out) const {
  std::vector<Match> matches;
  find_all(text, matches);
  if (matches.empty()) return false;
  require_bounded(text.size(), text.size() + matches.size() * content.size());
  out.clear();
  size_t at = 0;
  for (const Match& match : matches) {
    out.append(text.substr(at, match.begin - at)).append(content);
    at = match.end;
  }
  out.append(text.substr(at));
  return true;
}

}  // namespace dept
