#include "text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "text/unicode.h"

namespace dept {
namespace {

constexpr uint32_t match_limit = 10'000'000;
constexpr size_t jit_stack_max = 1 << 20;

// White space is Unicode's White_Space; PCRE2's own \s lacks U+0085 or adds U+180E.
constexpr std::string_view space_ranges =
    R"(\x09-\x0d\x20\x85\xa0\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
constexpr std::string_view nonspace_ranges =
    R"(\x00-\x08\x0e-\x1f\x21-\x84\x86-\x9f\xa1-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027}\x{202a}-\x{202e}\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{10ffff})";

std::string hex(uint32_t point) {
  char buffer[16];
  snprintf(buffer, sizeof buffer, "\\x{%x}", point);
  return buffer;
}

// The members of a general category, with those that PCRE2's Unicode may be too old to know.
std::string category_ranges(std::string_view name) {
  std::string out = str("\\p{", name, "}");
  for (size_t i = 0; i < unicode::newer_range_count; ++i) {
    const auto& range = unicode::newer_ranges[i];
    if (std::string_view(range.category).starts_with(name)) out += str(hex(range.first), "-", hex(range.last));
  }
  return out;
}

// Oniguruma's \w: letters, marks, decimal digits, letter numbers, connectors, circled letters and Latin-1's other numbers.
std::string word_ranges() {
  std::string out;
  for (const char* name : {"L", "M", "Nd", "Nl", "Pc"}) out += category_ranges(name);
  return out + R"(\xb2\xb3\xb9\xbc-\xbe\x{24b6}-\x{24e9}\x{1f130}-\x{1f149}\x{1f150}-\x{1f169}\x{1f170}-\x{1f189})";
}

// Rewrites the escapes that PCRE2 reads otherwise; refuses what it has no words for.
class Translator {
 public:
  Translator(std::string_view pattern, const std::string& where) : in_(pattern), where_(where) {}

  std::string run() {
    while (at_ < in_.size()) {
      const char c = in_[at_];
      if (c == '\\') {
        escape();
      } else if (c == '[') {
        open_class();
      } else {
        if (c == ']' && in_class_) in_class_ = false;
        if (in_class_ && in_.substr(at_, 2) == "&&") refuse("an intersection of classes");
        out_ += c;
        ++at_;
      }
    }
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(std::string_view what) {
    fail(Code::bad_input, where_, "a pattern without nested classes, intersections and Oniguruma's own escapes",
         str(what, " in ", quote(in_)));
  }

  void open_class() {
    if (in_class_) {
      if (in_.substr(at_, 2) != "[:") refuse("a nested class");
      const size_t end = in_.find(":]", at_);
      if (end == std::string_view::npos) refuse("an open class");
      out_ += in_.substr(at_, end + 2 - at_);
      at_ = end + 2;
      return;
    }
    in_class_ = true;
    out_ += in_[at_++];
    if (at_ < in_.size() && in_[at_] == '^') out_ += in_[at_++];
    if (at_ < in_.size() && in_[at_] == ']') {
      out_ += "\\]";
      ++at_;
    }
  }

  void put_class(std::string_view ranges, bool negated) {
    if (in_class_)
      out_ += ranges;
    else
      out_ += str(negated ? "[^" : "[", ranges, "]");
  }

  void escape() {
    const char kind = at_ + 1 < in_.size() ? in_[at_ + 1] : '\0';
    const std::string_view whole = in_.substr(at_, 2);
    switch (kind) {
      case 's':
        put_class(space_ranges, false);
        break;
      case 'S':
        put_class(nonspace_ranges, false);
        break;
      case 'w':
        put_class(word_ranges(), false);
        break;
      case 'W':
        if (in_class_) refuse("\\W in a class");
        put_class(word_ranges(), true);
        break;
      case 'd':
        put_class(category_ranges("Nd"), false);
        break;
      case 'p':
      case 'P':
        return property(kind == 'P');
      case 'h':
      case 'H':
      case 'R':
      case 'X':
      case 'y':
      case 'Y':
      case 'O':
      case 'N':
      case 'K':
      case 'Q':
      case 'E':
        refuse(whole);
      default:
        out_ += whole;
    }
    at_ += whole.size();
  }

  void property(bool negated) {
    const size_t open = at_ + 2, close = in_.find('}', open);
    if (open >= in_.size() || in_[open] != '{' || close == std::string_view::npos) refuse("a property without braces");
    std::string_view name = in_.substr(open + 1, close - open - 1);
    if (name.starts_with('^')) {
      negated = !negated;
      name.remove_prefix(1);
    }
    static constexpr std::string_view known[] = {"L",  "Lu", "Ll", "Lt", "Lm", "Lo", "M",  "Mn", "Mc", "Me", "N",
                                                 "Nd", "Nl", "No", "P",  "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po",
                                                 "S",  "Sm", "Sc", "Sk", "So", "Z",  "Zs", "Zl", "Zp"};
    const bool category = std::find(std::begin(known), std::end(known), name) != std::end(known);
    if (category && !(negated && in_class_))
      put_class(category_ranges(name), negated);
    else
      out_ += str(negated ? "\\P{" : "\\p{", name, "}");
    at_ = close + 1;
  }

  std::string_view in_;
  const std::string& where_;
  std::string out_;
  size_t at_ = 0;
  bool in_class_ = false;
};

// Of one thread: the places where a match is put, and room for the compiled matcher's stack.
struct Room {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(32 << 10, jit_stack_max, nullptr);
  Room() {
    if (!data || !context || !stack) fail(Code::resource, "regex", "memory for a match", "none");
    pcre2_set_match_limit(context, match_limit);
    pcre2_set_depth_limit(context, match_limit);
    pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~Room() {
    pcre2_jit_stack_free(stack);
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
  }
};

}  // namespace

struct Regex::Code {
  pcre2_code* code = nullptr;
  ~Code() { pcre2_code_free(code); }
};

Regex::Regex(std::string_view pattern, std::string where) : code_(std::make_unique<Code>()), where_(std::move(where)) {
  const std::string translated = Translator(pattern, where_).run();
  int error = 0;
  size_t offset = 0;
  // Ruby's syntax: ^ and $ are the ends of lines.
  code_->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                              PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error, &offset, nullptr);
  if (!code_->code) {
    char message[256] = "";
    pcre2_get_error_message(error, reinterpret_cast<PCRE2_UCHAR*>(message), sizeof message);
    fail(dept::Code::bad_input, where_, "a regular expression", str(quote(pattern), " (", message, ")"));
  }
  pcre2_jit_compile(code_->code, PCRE2_JIT_COMPLETE);
}

Regex::~Regex() = default;

void Regex::find_all(std::string_view text, std::vector<Match>& out) const {
  thread_local Room room;
  out.clear();
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  size_t at = 0, last_end = SIZE_MAX;
  while (at <= text.size()) {
    const int count = pcre2_match(code_->code, subject, text.size(), at, PCRE2_NO_UTF_CHECK, room.data, room.context);
    if (count == PCRE2_ERROR_NOMATCH) break;
    if (count < 0) fail(dept::Code::bad_input, where_, "a text on which the pattern ends within its limit of steps", quote(text));
    const size_t* span = pcre2_get_ovector_pointer(room.data);
    if (span[0] == span[1] && span[1] == last_end) {  // an empty match right behind the last one does not count
      at += at < text.size() ? unicode::decode(text, at).length : 1;
      continue;
    }
    out.push_back({span[0], span[1]});
    at = last_end = span[1];
  }
}

}  // namespace dept
