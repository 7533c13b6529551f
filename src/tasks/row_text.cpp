#include "tasks/row_text.h"

#include <algorithm>
#include <charconv>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/tasks/source_template.h"

namespace dept {
namespace {

constexpr std::string_view each_name = "each";

std::string_view column_of(std::string_view path) {
  return path.substr(0, path.find_first_of(".["));
}

// The next step of a path: ".key" or "[index]".
struct Step {
  std::string key;
  std::optional<size_t> index;
};

std::optional<Step> take_step(std::string_view& rest) {
  if (rest.starts_with('.')) {
    const size_t end = std::min(rest.find_first_of(".[", 1), rest.size());
    Step step{std::string(rest.substr(1, end - 1)), std::nullopt};
    rest.remove_prefix(end);
    return step.key.empty() ? std::nullopt : std::optional(step);
  }
  const size_t end = rest.find(']');
  size_t index = 0;
  if (end == std::string_view::npos) return std::nullopt;
  const auto [stop, error] = std::from_chars(rest.data() + 1, rest.data() + end, index);
  if (error != std::errc() || stop != rest.data() + end) return std::nullopt;
  rest.remove_prefix(end + 1);
  return Step{"", index};
}

void check_path(std::string_view path) {
  std::string_view rest = path.substr(column_of(path).size());
  bool good = !column_of(path).empty();
  while (good && !rest.empty()) good = take_step(rest).has_value();
  if (!good) fail(Code::usage, "template", "a path as in {column}, {column.key} or {column[0]}", quote(path));
}

std::string kind_of(const OrderedJson& value) {
  return value.is_object() ? "a mapping" : value.is_array() ? str("a list of ", value.size()) : value.is_null() ? "null" : "text";
}

}  // namespace

bool RowView::has(std::string_view path) const {
  return table_.has(path) || table_.has(column_of(path));
}

const std::string& RowView::cell(std::string_view column) const {
  const auto found = std::find(table_.columns.begin(), table_.columns.end(), column);
  if (found == table_.columns.end()) table_.column(column);  // throws
  return table_.rows[row_][static_cast<size_t>(found - table_.columns.begin())];
}

OrderedJson RowView::value(std::string_view path) const {
  const std::string_view name = table_.has(path) ? path : column_of(path);
  const std::string& text = cell(name);
  std::string_view rest = path.substr(name.size());
  const auto column = std::find(table_.columns.begin(), table_.columns.end(), name) - table_.columns.begin();
  if (table_.is_null(row_, static_cast<size_t>(column))) {
    if (!rest.empty()) refuse(path, "a value there", "null");
    return {};
  }
  if (rest.empty() && table_.nested[static_cast<size_t>(column)] == 0) return text;
  OrderedJson value = OrderedJson::parse(text, nullptr, false);
  if (value.is_discarded()) {
    if (rest.empty()) return text;  // a plain cell in a column that is nested elsewhere
    refuse(path, "a list or a mapping", quote(text));
  }
  while (!rest.empty()) {
    const Step step = *take_step(rest);
    if (step.index ? !value.is_array() || *step.index >= value.size() : !value.is_object() || !value.contains(step.key))
      refuse(path, "a value there", kind_of(value));
    OrderedJson inner = step.index ? value[*step.index] : value[step.key];
    value = std::move(inner);
  }
  return value;
}

void RowView::refuse(std::string_view what, std::string_view expected, std::string_view received) const {
  fail(Code::bad_input, str(table_.where(row_), ": ", what), expected, received);
}

std::string plain_text(const OrderedJson& value, const RowView& row, std::string_view what) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number() || value.is_boolean()) return value.dump();
  row.refuse(what, "text", kind_of(value));
}

RowText::RowText(std::string_view text) {
  for (const TemplatePart& part : parse_source_template(text)) {
    Piece piece{part.column, part.text, {}};
    const size_t bar = part.column ? part.text.find('|') : std::string::npos;
    piece.text = part.text.substr(0, bar);
    std::string_view names = bar == std::string::npos ? std::string_view() : std::string_view(part.text).substr(bar);
    while (!names.empty()) {
      const size_t end = std::min(names.find('|', 1), names.size());
      piece.functions.push_back(row_function(names.substr(1, end - 1)));
      names.remove_prefix(end);
    }
    if (piece.is_path) check_path(piece.text);
    pieces_.push_back(std::move(piece));
  }
}

std::string RowText::fill(const RowView& row, const std::string& each) const {
  std::string text;
  for (const Piece& piece : pieces_) {
    if (!piece.is_path) {
      text += piece.text;
      continue;
    }
    OrderedJson value = piece.text == each_name ? OrderedJson(each) : row.value(piece.text);
    for (const RowFunction function : piece.functions) value = function(value, row);
    text += plain_text(value, row, piece.text);
  }
  return text;
}

std::vector<std::string> RowText::columns() const {
  std::vector<std::string> names;
  for (const Piece& piece : pieces_)
    if (piece.is_path && piece.text != each_name) names.push_back(piece.text);
  return names;
}

}  // namespace dept
