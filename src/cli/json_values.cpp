#include "cli/json_values.h"

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {
namespace {

constexpr size_t most_document_bytes = size_t{1} << 30;

// Parsed twice: Json refuses keys that stand twice, OrderedJson keeps their order.
OrderedJson parse_ordered(const std::string& text, const std::string& where) {
  parse_json(text, where);
  return OrderedJson::parse(text);
}

// An array, or {"data": an array}: what is not one value a line.
bool is_document(const OrderedJson& value) {
  return value.is_array() || (value.is_object() && value.size() == 1 && value.contains("data") && value["data"].is_array());
}

bool looks_like_json(std::string_view line) {
  const std::string_view text = strip(line);
  return !text.empty() && (text[0] == '"' || text[0] == '{' || text[0] == '[');
}

}  // namespace

JsonValues::JsonValues(const std::string& path, const std::string& format, SharedReading shared)
    : path_(path), format_(format), reader_(path, std::move(shared)) {
  if (format_ != "auto") return;
  const std::string extension = fs::path(path).extension().string();
  if (extension == ".txt") format_ = "text";
  if (extension == ".json" || extension == ".jsonl") format_ = "json";
}

std::optional<std::string> JsonValues::next_line() {
  std::optional<std::string> line;
  if (ahead_.empty()) {
    line = reader_.next();
  } else {
    line = std::move(ahead_.front());
    ahead_.pop_front();
  }
  if (line) ++row_;
  if (line && row_ == 1 && line->starts_with("\xEF\xBB\xBF")) line->erase(0, 3);
  return line;
}

// What the first line that is not blank tells.
void JsonValues::look_ahead() {
  looked_ = true;
  while (ahead_.empty() || strip(ahead_.back()).empty()) {
    std::optional<std::string> line = reader_.next();
    if (!line) break;
    ahead_.push_back(std::move(*line));
  }
  if (ahead_.empty()) return;
  std::string_view first = ahead_.back();
  if (first.starts_with("\xEF\xBB\xBF")) first.remove_prefix(3);
  texts_ = format_ == "text" || (format_ == "auto" && !looks_like_json(first));
  if (texts_) return;
  const OrderedJson value = OrderedJson::parse(first, nullptr, false);
  const bool of_several_lines = value.is_discarded() && fs::path(path_).extension() == ".json";
  if (of_several_lines || strip(first).starts_with('[') || is_document(value)) read_document();
}

void JsonValues::read_document() {
  const std::string name = reader_.where().substr(0, reader_.where().rfind(": line "));
  std::string text;
  while (const std::optional<std::string> line = next_line()) {
    text += *line;
    text += '\n';
    if (text.size() > most_document_bytes)
      fail(Code::bad_input, name, "an array of at most 1 GB (a value a line may be more)", "more");
  }
  OrderedJson document = parse_ordered(text, name);
  if (!is_document(document))
    fail(Code::bad_input, name, "a value a line, an array of values, or {\"data\": [..]}", "another value over several lines");
  items_ = document.is_array() ? std::move(document) : std::move(document["data"]);
  row_ = 0;
}

std::optional<OrderedJson> JsonValues::next() {
  if (!looked_) look_ahead();
  if (items_) return row_ < items_->size() ? std::optional((*items_)[row_++]) : std::nullopt;
  const std::optional<std::string> line = next_line();
  if (!line) return std::nullopt;
  return texts_ ? OrderedJson(*line) : parse_ordered(*line, where());
}

std::string JsonValues::where() const {
  const std::string at_line = reader_.where(), name = at_line.substr(0, at_line.rfind(": line "));
  return str(name, items_ ? ": row " : ": line ", row_);
}

}  // namespace dept
