// The functions that a template may call: what no template can say.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <stdexcept>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/text/unicode.h"
#include "tasks/answer_text.h"
#include "tasks/python_pattern.h"
#include "tasks/row_text.h"

namespace dept {
namespace {

OrderedJson pad(const OrderedJson& value, const RowView& row) {
  return pad_punctuation(plain_text(value, row, "pad_punctuation"));
}

OrderedJson repr(const OrderedJson& value, const RowView&) {
  return python_repr(value);
}

OrderedJson first_letter(const OrderedJson& value, const RowView& row) {
  const std::string text = plain_text(value, row, "first_letter");
  if (text.empty()) row.refuse("first_letter", "a text", "an empty one");
  return text.substr(0, unicode::decode(text, 0).length);
}

// SQuAD's {"text": [...], ...}, or a list.
OrderedJson first_answer(const OrderedJson& value, const RowView& row) {
  const OrderedJson* answers = &value;
  if (value.is_object() && value.contains("text")) answers = &value["text"];
  if (!answers->is_array() || answers->empty()) row.refuse("first_answer", "a list of at least one answer", quote(value.dump()));
  return answers->front();
}

OrderedJson join_list(const OrderedJson& value, const RowView& row) {
  if (!value.is_array()) row.refuse("join", "a list", quote(value.dump()));
  std::vector<std::string> items;
  for (const OrderedJson& item : value) items.push_back(plain_text(item, row, "join"));
  return join(items, ", ");
}

// To the nearest tenth, half to even, as NumPy prints it.
OrderedJson one_decimal(const OrderedJson& value, const RowView& row) {
  const std::string text(strip(plain_text(value, row, "one_decimal")));
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(number))
    row.refuse("one_decimal", "a number", quote(text));
  return OrderedJson(std::nearbyint(number * 5 / 5 * 10) / 10).dump();
}

// Line breaks become blanks, bold marks nothing.
OrderedJson remove_markup(const OrderedJson& value, const RowView& row) {
  const std::string text = plain_text(value, row, "remove_markup");
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const std::string_view rest = std::string_view(text).substr(at);
    const bool line_break = rest.starts_with("<br>");
    const size_t tag = line_break || rest.starts_with("</b>") ? 4 : rest.starts_with("<b>") ? 3 : 0;
    if (tag == 0) out += text[at];
    if (line_break) out += ' ';
    at += std::max<size_t>(tag, 1);
  }
  return out;
}

// ReCoRD's summary lines become sentences of the passage.
OrderedJson highlights(const OrderedJson& value, const RowView& row) {
  constexpr std::string_view mark = "\n@highlight\n", ends = ".?!\"'";
  std::string text = plain_text(value, row, "highlights"), out;
  size_t from = 0;
  for (size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, from)) {
    out.append(text, from, at - from);
    out += at > from && ends.find(text[at - 1]) != std::string_view::npos ? " " : ". ";
    from = at + mark.size();
  }
  return out.append(text, from, std::string::npos);
}

int64_t integer(const RowView& row, const char* column) {
  const std::string& text = row.cell(column);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) row.refuse(column, "an integer", quote(text));
  return value;
}

// Where word number `index` of a text begins, counted as (\S+\s){index} does; none where there are fewer words.
std::optional<size_t> word_begin(const std::string& text, int64_t index) {
  size_t at = 0;
  const auto is_space = [&](size_t i) {
    const char32_t point = unicode::decode(text, i).point;
    return (unicode::classes[point] & unicode::space) != 0 || (point >= 0x1C && point <= 0x1F);
  };
  for (int64_t word = 0; word < index; ++word) {
    const size_t begin = at;
    while (at < text.size() && !is_space(at)) at += unicode::decode(text, at).length;
    if (at == begin || at == text.size()) return std::nullopt;
    at += unicode::decode(text, at).length;
  }
  return at;
}

// `mark` around the span that begins with word number `index`; the text as it is when the span is not there.
std::string mark_span(const std::string& text, const std::string& span, int64_t index, std::string_view mark) {
  const std::optional<size_t> at = word_begin(text, index);
  if (index < 0 || !at || text.compare(*at, span.size(), span) != 0) return text;
  return str(text.substr(0, *at), mark, " ", span, " ", mark, text.substr(*at + span.size()));
}

// The same by the original's regular expression ^((?:\S+\s){index})(span), in which the span is a pattern.
std::string mark_pattern(const std::string& text, const std::string& span, int64_t index, std::string_view mark) {
  std::optional<size_t> at = word_begin(text, index < 0 ? 1 : index);
  if (index < 0 && at) {  // Python takes {-1} for characters
    const std::string braces = str("{", index, "}");
    at = text.compare(*at, braces.size(), braces) == 0 ? std::optional(*at + braces.size()) : std::nullopt;
  }
  const PythonPattern pattern(std::string_view(text).substr(0, at.value_or(0)), at.has_value(),
                              str("(", expand_replacement(span), ")"));
  return pattern.substitute(text, str(mark, " "), str(" ", mark));
}

using SpanMarker = std::string (*)(const std::string& text, const std::string& span, int64_t index, std::string_view mark);

// Winograd's two spans: the noun between stars, the pronoun between hashes, in words counted before any mark.
OrderedJson mark_both(const OrderedJson& value, const RowView& row, SpanMarker marked) {
  const int64_t noun = integer(row, "span1_index"), pronoun = integer(row, "span2_index");
  const std::string text = marked(plain_text(value, row, "text"), row.cell("span1_text"), noun, "*");
  return marked(text, row.cell("span2_text"), pronoun + (noun < pronoun ? 2 : 0), "#");
}

OrderedJson mark_spans(const OrderedJson& value, const RowView& row) {
  return mark_both(value, row, mark_span);
}

OrderedJson mark_patterns(const OrderedJson& value, const RowView& row) {
  try {
    return mark_both(value, row, mark_pattern);
  } catch (const std::invalid_argument& error) {
    row.refuse("span1_text, span2_text", "regular expressions, as the original's code takes them",
               str(quote(row.cell("span1_text")), ", ", quote(row.cell("span2_text")), " (", error.what(), ")"));
  }
}

struct Named {
  const char* name;
  RowFunction function;
};
constexpr Named functions[] = {{"pad_punctuation", pad},         {"python_repr", repr},      {"first_letter", first_letter},
                               {"first_answer", first_answer},   {"join", join_list},        {"one_decimal", one_decimal},
                               {"remove_markup", remove_markup}, {"highlights", highlights}, {"mark_spans", mark_spans},
                               {"mark_patterns", mark_patterns}};

}  // namespace

std::vector<std::string> row_function_names() {
  std::vector<std::string> names;
  for (const Named& one : functions) names.emplace_back(one.name);
  return names;
}

RowFunction row_function(std::string_view name) {
  for (const Named& one : functions)
    if (one.name == name) return one.function;
  fail(Code::usage, "template", str("one of the functions ", join(row_function_names(), ", ")), quote(name));
}

}  // namespace dept
