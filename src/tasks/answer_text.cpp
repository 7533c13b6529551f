#include "tasks/answer_text.h"

#include <algorithm>
#include <utility>

#include "dept/base/text.h"
#include "dept/tasks/task.h"
#include "dept/text/unicode.h"

namespace dept {
namespace {

bool is(char32_t point, uint32_t classes) {
  return (unicode::classes[point] & classes) != 0;
}

bool is_ascii_punctuation(char c) {
  return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

// body(point, bytes) for each character.
template <class Body>
void each_character(std::string_view text, Body body) {
  for (size_t at = 0; at < text.size();) {
    const auto [point, length] = unicode::decode(text, at);
    body(point, text.substr(at, length));
    at += length;
  }
}

// As Python's str.lower has it: a capital sigma at a word's end becomes the final one.
std::string lower_case(std::string_view text) {
  constexpr char32_t capital_sigma = 0x3A3, final_sigma = 0x3C2;
  std::string out;
  size_t at = 0;
  bool after_letter = false;
  each_character(text, [&](char32_t point, std::string_view bytes) {
    at += bytes.size();
    const bool ends = at == text.size() || !is(unicode::decode(text, at).point, unicode::letter);
    if (point == capital_sigma && after_letter && ends) {
      unicode::append(out, final_sigma);
    } else {
      unicode::append_lower(point, out);
    }
    after_letter = is(point, unicode::letter);
  });
  return out;
}

// A word of \w between two characters that are none.
std::string without_articles(std::string_view text) {
  std::string out;
  size_t word = 0;  // where it starts in `out`
  const auto end_word = [&] {
    const std::string_view last = std::string_view(out).substr(word);
    if (last != "a" && last != "an" && last != "the") return;
    out.resize(word);
    out += ' ';
  };
  each_character(text, [&](char32_t point, std::string_view bytes) {
    const bool in_word = is(point, unicode::word);
    if (!in_word) end_word();
    out += bytes;
    if (!in_word) word = out.size();
  });
  end_word();
  return out;
}

// A character of a quoted string, escaped where Python's str.isprintable says no.
void append_repr(std::string& out, char32_t point, std::string_view bytes, char quote_mark) {
  static constexpr char digits[] = "0123456789abcdef";
  const auto hex = [&](char kind, int width) {
    out += '\\';
    out += kind;
    for (int i = width - 1; i >= 0; --i) out += digits[point >> (4 * i) & 15];
  };
  if (point == '\n')
    out += "\\n";
  else if (point == '\t')
    out += "\\t";
  else if (point == '\r')
    out += "\\r";
  else if (point == '\\' || point == static_cast<char32_t>(quote_mark))
    (out += '\\') += bytes;
  else if (point == ' ' || !is(point, unicode::other | unicode::space))
    out += bytes;
  else if (point < 0x100)
    hex('x', 2);
  else if (point < 0x10000)
    hex('u', 4);
  else
    hex('U', 8);
}

std::string repr_of_string(const std::string& text) {
  const char mark = text.find('\'') != std::string::npos && text.find('"') == std::string::npos ? '"' : '\'';
  std::string out(1, mark);
  each_character(text, [&](char32_t point, std::string_view bytes) { append_repr(out, point, bytes, mark); });
  return out + mark;
}

}  // namespace

std::string pad_punctuation(std::string_view text) {
  constexpr uint32_t kept = unicode::letter | unicode::number | unicode::combining;
  std::string out;
  bool blank = false;  // one is due before the next character that is none
  const auto put_blank = [&] {
    if (blank) out += ' ';
    blank = false;
  };
  each_character(text, [&](char32_t point, std::string_view bytes) {
    if (is(point, unicode::space)) {
      blank = true;
      return;
    }
    const bool pads = point != '_' && !is(point, kept);
    blank |= pads;
    put_blank();
    out += bytes;
    blank = pads;
  });
  put_blank();
  return out;
}

std::vector<std::string_view> split_words(std::string_view text) {
  std::vector<std::string_view> words;
  size_t begin = 0, at = 0;
  each_character(text, [&](char32_t point, std::string_view bytes) {
    if (unicode::is_python_space(point)) {
      if (at > begin) words.push_back(text.substr(begin, at - begin));
      begin = at + bytes.size();
    }
    at += bytes.size();
  });
  if (at > begin) words.push_back(text.substr(begin));
  return words;
}

std::string normalise_answer(std::string_view text) {
  std::string bare;
  for (const char c : lower_case(text))
    if (!is_ascii_punctuation(c)) bare += c;
  const std::string rest = without_articles(bare);
  std::string out;
  for (const std::string_view word : split_words(rest)) {
    if (!out.empty()) out += ' ';
    out += word;
  }
  return out;
}

std::string clean_up_spaces(std::string text) {
  static constexpr std::pair<std::string_view, std::string_view> replacements[] = {
      {" .", "."},     {" ?", "?"},   {" !", "!"},   {" ,", ","},     {" ' ", "'"},
      {" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& [from, to] : replacements)
    for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
      text.replace(at, from.size(), to);
  return text;
}

std::string strip_unicode(std::string_view text) {
  return std::string(unicode::strip(text));
}

std::string python_repr(const OrderedJson& value) {
  if (value.is_string()) return repr_of_string(value.get_ref<const std::string&>());
  if (value.is_null()) return "None";
  if (value.is_boolean()) return value.get<bool>() ? "True" : "False";
  if (value.is_number()) return value.dump();
  std::vector<std::string> items;
  for (const auto& [key, item] : value.items())
    items.push_back(value.is_object() ? str(repr_of_string(key), ": ", python_repr(item)) : python_repr(item));
  return str(value.is_object() ? "{" : "[", join(items, ", "), value.is_object() ? "}" : "]");
}

}  // namespace dept
