// json and jsonl by events, so that a large file never stands in memory as a tree.
#include <algorithm>
#include <map>
#include <unordered_map>

#include "data/readers.h"
#include "dept/base/error.h"
#include "dept/base/json.h"
#include "dept/base/text.h"

namespace dept {
namespace {

constexpr int max_json_depth = 256;

/// Receives the parser's events and adds each object among the rows to the table.
class RowEvents : public nlohmann::json_sax<Json> {
 public:
  RowEvents(Table& table, size_t max_rows, std::vector<std::string> keys = {"data"})
      : table_(table), max_rows_(max_rows), keys_(std::move(keys)) {}

  /// Next comes a text of many rows: an array of objects, or an object with such an array as "data".
  void expect_document() {
    place_ = Place::outside;
    begin_row(1);
  }
  /// Next comes a text that is one row and stands on `line`.
  void expect_row(int64_t line) {
    place_ = Place::rows;
    begin_row(line);
  }

  bool full() const { return table_.rows.size() >= max_rows_; }
  bool saw_rows() const { return saw_rows_; }
  /// The key whose array held the rows.
  const std::string& rows_key() const { return rows_key_; }
  const std::map<std::string, std::string>& beside() const { return beside_; }

  // After a failed parse: where, in bytes, and what.
  size_t error_at = 0;
  std::string error_text;

  bool null() override {
    if (place_ == Place::row) table_.set_null(table_.rows.size(), column_);
    return scalar({}, "null");
  }
  bool boolean(bool value) override { return written(value ? "true" : "false"); }
  bool number_integer(number_integer_t value) override { return written(std::to_string(value)); }
  bool number_unsigned(number_unsigned_t value) override { return written(std::to_string(value)); }
  bool number_float(number_float_t, const string_t& text) override { return written(text); }
  bool binary(binary_t&) override { return false; }

  bool string(string_t& value) override {
    const std::string json = place_ == Place::cell ? Json(value).dump() : std::string();
    return scalar(std::move(value), json);
  }

  bool start_object(std::size_t) override {
    if (place_ == Place::rows) {
      place_ = Place::row;
      cells_.assign(table_.columns.size(), {});
      filled_.assign(table_.columns.size(), false);
      column_ = SIZE_MAX;
      return deeper();
    }
    return start_inner('{');
  }

  bool start_array(std::size_t) override {
    if (place_ == Place::rows) refuse("an object", "an array");
    if (place_ == Place::outside && !saw_rows_ && (depth_ == 0 || (depth_ == 1 && data_follows_))) {
      place_ = Place::rows;
      saw_rows_ = true;
      rows_key_ = key_;
      rows_depth_ = ++depth_;
      return true;
    }
    return start_inner('[');
  }

  bool key(string_t& name) override {
    if (place_ == Place::row) {
      column_ = column_of(name);
    } else if (place_ == Place::cell) {
      separate();
      nested_text_ += Json(name).dump() + ":";
    } else if (depth_ == 1) {
      key_ = name;
      data_follows_ = std::find(keys_.begin(), keys_.end(), name) != keys_.end();
      if (name == rows_key_ && saw_rows_) refuse(str(quote(name), " once"), "it twice");
    }
    return true;
  }

  bool end_object() override {
    if (place_ != Place::row) return end_inner('}');
    --depth_;
    return end_row();
  }

  bool end_array() override {
    if (place_ != Place::rows) return end_inner(']');
    --depth_;
    place_ = Place::outside;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& error) override {
    // "[json.exception...] parse error at line L, column C: what; last read: ..." to "what"
    const std::string what = error.what();
    const size_t end = what.find("; last read");
    const size_t begin = what.find(": ");
    error_text = begin < end ? what.substr(begin + 2, end - begin - 2) : what;
    error_at = position;
    return false;
  }

 private:
  enum class Place { outside, rows, row, cell };

  [[noreturn]] void refuse(std::string_view expected, std::string_view received) const {
    const std::string where = place_ != Place::outside && rows_depth_ > 0 ? str(table_.path.string(), ": row ", number_)
                                                                          : at_line(table_.path, number_);
    fail(Code::bad_input, where, expected, received);
  }

  void begin_row(int64_t number) {
    number_ = number;
    depth_ = 0;
  }

  bool deeper() {
    if (++depth_ > max_json_depth) refuse(str("JSON nested at most ", max_json_depth, " deep"), "deeper");
    return true;
  }

  bool start_inner(char bracket) {
    if (place_ == Place::row) {
      place_ = Place::cell;
      cell_depth_ = depth_;
      nested_text_.clear();
    }
    if (place_ == Place::cell) {
      separate();
      nested_text_ += bracket;
    }
    return deeper();
  }

  bool end_inner(char bracket) {
    --depth_;
    if (place_ != Place::cell) return true;
    nested_text_ += bracket;
    if (depth_ != cell_depth_) return true;
    place_ = Place::row;
    if (table_.nested[column_] == 0) table_.nested[column_] = table_.rows.size() + 1;
    return fill(std::move(nested_text_));
  }

  // A comma between the members of a nested value.
  void separate() {
    if (!nested_text_.empty() && std::string_view("{[:").find(nested_text_.back()) == std::string_view::npos) nested_text_ += ',';
  }

  bool written(std::string text) {
    const std::string json = place_ == Place::cell ? text : std::string();
    return scalar(std::move(text), json);
  }

  bool scalar(std::string value, std::string_view json) {
    if (place_ == Place::rows) refuse("an object", "a plain value");
    if (place_ == Place::row) return fill(std::move(value));
    if (place_ == Place::outside && depth_ == 1) beside_[key_] = value;
    if (place_ == Place::cell) {
      separate();
      nested_text_ += json;
    }
    return true;
  }

  bool fill(std::string value) {
    cells_[column_] = std::move(value);
    return true;
  }

  size_t column_of(const std::string& name) {
    size_t column = column_ + 1;  // rows mostly keep the first one's order
    if (column >= table_.columns.size() || table_.columns[column] != name) {
      const auto found = index_.find(name);
      column = found == index_.end() ? new_column(name) : found->second;
    }
    if (filled_[column]) refuse("each column once", str(quote(name), " twice"));
    filled_[column] = true;
    return column;
  }

  size_t new_column(const std::string& name) {
    if (!table_.rows.empty()) refuse("the columns of the first row", str("another one, ", quote(name)));
    if (table_.columns.size() == max_columns) refuse(str("at most ", max_columns, " columns"), "more");
    index_.emplace(name, table_.columns.size());
    table_.columns.push_back(name);
    table_.nested.push_back(0);
    cells_.emplace_back();
    filled_.push_back(false);
    return table_.columns.size() - 1;
  }

  bool end_row() {
    const auto missing = std::find(filled_.begin(), filled_.end(), false);
    if (missing != filled_.end())
      refuse("the columns of the first row", str("none ", quote(table_.columns[static_cast<size_t>(missing - filled_.begin())])));
    if (table_.columns.empty()) refuse("columns", "an empty object");
    place_ = Place::rows;
    table_.rows.push_back(std::move(cells_));
    table_.lines.push_back(number_++);
    return !full();
  }

  Table& table_;
  size_t max_rows_;
  Place place_ = Place::outside;
  int64_t number_ = 1;  // of the row at hand: its line (jsonl) or its place in the array (json)
  int depth_ = 0;       // containers open
  int rows_depth_ = 0;  // of the array of rows, 0 in jsonl
  int cell_depth_ = 0;  // of the row whose nested cell is open
  bool saw_rows_ = false;
  bool data_follows_ = false;
  std::vector<std::string> keys_;  // of arrays of rows in an outermost object
  std::string key_, rows_key_;     // the outermost object's at hand, and the one whose rows were read
  std::map<std::string, std::string> beside_;
  std::unordered_map<std::string, size_t> index_;  // of a column
  std::vector<std::string> cells_;
  std::vector<bool> filled_;
  size_t column_ = 0;
  std::string nested_text_;
};

// Parses one JSON text that starts on `line`.
void parse(std::string_view text, RowEvents& events, const fs::path& path, int64_t line) {
  if (Json::sax_parse(text.begin(), text.end(), &events) || (events.full() && events.error_text.empty())) return;
  const std::string_view read = text.substr(0, std::min(events.error_at, text.size()));
  require_utf8(text.substr(0, std::min(read.size() + 4, text.size())), path, line);
  fail(Code::bad_input, at_line(path, line + std::count(read.begin(), read.end(), '\n')), "valid JSON", events.error_text);
}

// The parser takes a NUL byte for the end of the text.
void require_no_nul(std::string_view text, const fs::path& path, int64_t line) {
  const size_t nul = text.find('\0');
  if (nul == std::string_view::npos) return;
  fail(Code::bad_input, at_line(path, line + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(nul), '\n')),
       "UTF-8 text", "a NUL byte");
}

}  // namespace

void read_json_rows(Table& table, std::string_view text, size_t max_rows) {
  if (max_rows == all_rows) require_no_nul(text, table.path, 1);
  RowEvents events(table, max_rows);
  events.expect_document();
  parse(text, events, table.path, 1);
  if (!events.saw_rows())
    fail(Code::bad_input, table.path.string(), "an array of objects or {\"data\": [...]}", "something else");
}

void read_member_rows(JsonMember& member, std::string_view text, const std::vector<std::string>& keys) {
  require_no_nul(text, member.table.path, 1);
  RowEvents events(member.table, all_rows, keys);
  events.expect_document();
  parse(text, events, member.table.path, 1);
  member.key = events.rows_key();
  member.beside = events.beside();
}

void read_json_lines(Table& table, std::string_view text, size_t max_rows) {
  RowEvents events(table, max_rows);
  int64_t line = 0;
  while (!text.empty() && !events.full()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view row = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++line;
    if (row.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    require_no_nul(row, table.path, line);
    events.expect_row(line);
    parse(row, events, table.path, line);
  }
}

}  // namespace dept
