#include "tasks/python_pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <charconv>
#include <stdexcept>
#include <vector>

#include "dept/base/text.h"
#include "dept/text/unicode.h"

namespace dept {
namespace {

constexpr uint32_t match_limit = 10'000'000;
constexpr int64_t most_repeats = 65535;  // PCRE2's
constexpr int most_depth = 200;

[[noreturn]] void refuse(std::string_view what) {
  throw std::invalid_argument(std::string(what));
}

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// \a, \b, \f, \n, \r, \t, \v, \\ by their second character; 0 for others.
char control(char c, bool backspace) {
  constexpr std::string_view names = "afnrtv\\", values = "\a\f\n\r\t\v\\";
  if (c == 'b' && backspace) return '\b';
  const size_t at = names.find(c);
  return at == std::string_view::npos ? '\0' : values[at];
}

std::string literal(char32_t point) {
  char digits[16];
  const auto end = std::to_chars(digits, digits + sizeof digits, static_cast<uint32_t>(point), 16).ptr;
  return str("\\x{", std::string_view(digits, static_cast<size_t>(end - digits)), "}");
}

std::string literal(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const auto [point, length] = unicode::decode(text, at);
    out += literal(point);
    at += length;
  }
  return out;
}

// Reads a pattern as Python does and writes it as PCRE2 reads it.
class Translator {
 public:
  explicit Translator(std::string_view pattern) : in_(pattern) {}

  std::string run() {
    alternatives(0);
    if (at_ < in_.size()) refuse("unbalanced parenthesis");
    return std::move(out_);
  }

 private:
  enum class Item { none, anchor, repeat, other };

  bool take(char c) {
    if (at_ == in_.size() || in_[at_] != c) return false;
    ++at_;
    return true;
  }
  char32_t take_point() {
    const auto [point, length] = unicode::decode(in_, at_);
    at_ += length;
    return point;
  }

  void alternatives(int depth) {
    if (depth > most_depth) refuse("groups nested too deep");
    do {
      sequence(depth);
    } while (take('|') && (out_ += '|', true));
  }

  void sequence(int depth) {
    Item last = Item::none;
    while (at_ < in_.size() && in_[at_] != '|' && in_[at_] != ')') {
      const char c = in_[at_];
      if (c == '*' || c == '+' || c == '?' || c == '{') {
        last = quantifier(last);
        continue;
      }
      last = Item::other;
      if (c == '(') {
        ++at_;
        group(depth);
      } else if (c == '[') {
        ++at_;
        character_class();
      } else if (c == '^' || c == '$') {
        last = Item::anchor;
        out_ += in_[at_++];
      } else if (c == '.') {
        out_ += in_[at_++];
      } else {
        out_ += literal(c == '\\' ? escaped(false) : take_point());
      }
    }
  }

  int64_t number(int64_t otherwise) {
    const size_t begin = at_;
    while (at_ < in_.size() && is_digit(in_[at_])) ++at_;
    if (begin == at_) return otherwise;
    int64_t value = 0;
    const auto [end, error] = std::from_chars(in_.data() + begin, in_.data() + at_, value);
    if (error != std::errc() || value > most_repeats) refuse(str("a repetition of more than ", most_repeats));
    return value;
  }

  // {lo,hi}; without a closing brace the open one is a character.
  bool braces(int64_t& low, int64_t& high) {
    const size_t here = at_;
    if (at_ < in_.size() && in_[at_] == '}') return false;
    low = number(-1);
    high = take(',') ? number(-1) : low;
    if (take('}')) return true;
    at_ = here;
    return false;
  }

  Item quantifier(Item last) {
    const char c = in_[at_++];
    int64_t low = c == '+' ? 1 : 0, high = c == '?' ? 1 : -1;
    if (c == '{' && !braces(low, high)) {
      out_ += literal(U'{');
      return Item::other;
    }
    if (low >= 0 && high >= 0 && high < low) refuse("min repeat greater than max repeat");
    if (last == Item::none || last == Item::anchor) refuse("nothing to repeat");
    if (last == Item::repeat) refuse("multiple repeat");
    out_ += str("{", std::max<int64_t>(low, 0), ",", high < 0 ? "" : std::to_string(high), "}");
    if (take('?')) {
      out_ += '?';
    } else if (take('+')) {
      out_ += '+';
    }
    return Item::repeat;
  }

  void group(int depth) {
    if (!take('?')) {
      out_ += '(';
    } else if (at_ == in_.size()) {
      refuse("unexpected end of pattern");
    } else if (const char kind = in_[at_++]; kind == '#') {
      at_ = in_.find(')', at_);
      if (at_ == std::string_view::npos) refuse("missing ), unterminated comment");
      ++at_;
      out_ += "(?:)";
      return;
    } else if (std::string_view(":=!>").find(kind) != std::string_view::npos) {
      (out_ += "(?") += kind;
    } else {
      refuse(str("the extension ?", kind));
    }
    alternatives(depth + 1);
    if (!take(')')) refuse("missing ), unterminated subpattern");
    out_ += ')';
  }

  char32_t class_member() {
    if (at_ == in_.size()) refuse("unterminated character set");
    return in_[at_] == '\\' ? escaped(true) : take_point();
  }

  void character_class() {
    out_ += take('^') ? "[^" : "[";
    for (bool first = true; first || !take(']'); first = false) {
      const char32_t low = class_member();
      out_ += literal(low);
      if (!take('-')) continue;
      if (take(']')) {
        out_ += literal(U'-');
        break;
      }
      const char32_t high = class_member();
      if (high < low) refuse("bad character range");
      (out_ += '-') += literal(high);
    }
    out_ += ']';
  }

  char32_t escaped(bool in_class) {
    if (++at_ == in_.size()) refuse("bad escape (end of pattern)");
    const char c = in_[at_];
    if (const char point = control(c, in_class); point != '\0') {
      ++at_;
      return static_cast<char32_t>(point);
    }
    if (is_letter(c) || is_digit(c)) refuse(str("the escape \\", c));
    return take_point();
  }

  std::string_view in_;
  size_t at_ = 0;
  std::string out_;
};

}  // namespace

std::string expand_replacement(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '\\') {
      out += text[at];
      continue;
    }
    if (++at == text.size()) refuse("bad escape (end of pattern)");
    const char c = text[at], point = control(c, true);
    if (point == '\0' && (is_letter(c) || is_digit(c))) refuse(str("bad escape or group reference \\", c));
    if (point == '\0') out += '\\';
    out += point == '\0' ? c : point;
  }
  return out;
}

struct PythonPattern::Code {
  pcre2_code* code = nullptr;
  pcre2_match_data* match = nullptr;
  pcre2_match_context* limits = nullptr;
  ~Code() {
    pcre2_match_context_free(limits);
    pcre2_match_data_free(match);
    pcre2_code_free(code);
  }
};

PythonPattern::PythonPattern(std::string_view prefix, bool anchored, std::string_view pattern) : code_(std::make_unique<Code>()) {
  const std::string whole = str("^(", anchored ? literal(prefix) : "(?!)", ")", Translator(pattern).run());
  const std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)> context(
      pcre2_compile_context_create(nullptr), &pcre2_compile_context_free);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  size_t where = 0;
  code_->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(whole.data()), whole.size(), PCRE2_UTF, &error, &where, context.get());
  if (code_->code == nullptr) {
    PCRE2_UCHAR words[128];
    pcre2_get_error_message(error, words, sizeof words);
    refuse(reinterpret_cast<const char*>(words));
  }
  code_->match = pcre2_match_data_create_from_pattern(code_->code, nullptr);
  code_->limits = pcre2_match_context_create(nullptr);
  pcre2_set_match_limit(code_->limits, match_limit);
}

PythonPattern::~PythonPattern() = default;

std::string PythonPattern::substitute(std::string_view text, std::string_view before, std::string_view behind) const {
  std::string out;
  const size_t* places = pcre2_get_ovector_pointer(code_->match);
  size_t copied = 0, at = 0;
  uint32_t options = 0;  // behind an empty match the next one is none
  for (;;) {
    const int groups = pcre2_match(code_->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at, options, code_->match,
                                   code_->limits);
    if (groups == PCRE2_ERROR_NOMATCH) break;
    if (groups < 0) refuse("a match that takes too long");
    const auto group = [&](int i) {
      return i < groups && places[2 * i] != PCRE2_UNSET ? text.substr(places[2 * i], places[2 * i + 1] - places[2 * i])
                                                        : std::string_view();
    };
    out += str(text.substr(copied, places[0] - copied), group(1), before, group(2), behind);
    copied = at = places[1];
    options = places[0] == places[1] ? PCRE2_NOTEMPTY_ATSTART : 0;
  }
  out += text.substr(copied);
  return out;
}

}  // namespace dept
