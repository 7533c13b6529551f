// csv and tsv by RFC 4180. Our own reader, since each row's line number and strictness about quotes are the point.
#include <algorithm>
#include <array>
#include <cstring>

#include "data/readers.h"
#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {
namespace {

class DelimitedReader {
 public:
  DelimitedReader(const fs::path& path, std::string_view text, char delimiter) : path_(path), text_(text), delimiter_(delimiter) {
    for (const char c : {delimiter, '\n', '\r', '"', '\0'}) special_[static_cast<uint8_t>(c)] = true;
  }

  /// The next record's first `limit` cells; returns how many it has, 0 at the end of the file.
  size_t next(std::vector<std::string>& cells, size_t limit) {
    skip_blank_lines();
    if (at_ == text_.size()) return 0;
    row_line_ = line_;
    const size_t begin = at_;
    size_t count = 0;
    for (bool more = true; more; ++count) {
      std::string cell;
      more = read_cell(cell);
      if (count < limit) cells.push_back(std::move(cell));
    }
    require_utf8(text_.substr(begin, at_ - begin), path_, row_line_);
    return count;
  }

  int64_t row_line() const { return row_line_; }

 private:
  char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  [[noreturn]] void refuse(int64_t line, std::string_view expected, std::string_view received) const {
    fail(Code::bad_input, at_line(path_, line), expected, received);
  }
  size_t line_end_length() const { return peek() == '\n' ? 1 : peek() == '\r' && peek(1) == '\n' ? 2 : 0; }

  void skip_blank_lines() {
    for (size_t length = line_end_length(); length != 0; length = line_end_length()) {
      at_ += length;
      ++line_;
    }
  }

  // Returns whether another cell of the record follows.
  bool read_cell(std::string& cell) {
    if (peek() == '"') {
      read_quoted(cell);
    } else {
      read_plain(cell);
    }
    if (at_ == text_.size()) return false;
    if (text_[at_] == delimiter_) {
      ++at_;
      return true;
    }
    const size_t length = line_end_length();
    if (length != 0) {
      at_ += length;
      ++line_;
      return false;
    }
    const char c = text_[at_];
    if (c == '"')
      refuse(line_, "a cell with quotes in it to be quoted, each quote doubled", str("a bare quote after ", quote(cell, 20)));
    if (c == '\r') refuse(line_, "lines that end in LF or CRLF", "a lone CR");
    if (c == '\0') refuse(line_, "UTF-8 text", "a NUL byte");
    refuse(line_, "a delimiter or a line end after a closing quote", quote(text_.substr(at_, 20)));
  }

  void read_plain(std::string& cell) {
    const size_t begin = at_;
    while (at_ < text_.size() && !special_[static_cast<uint8_t>(text_[at_])]) ++at_;
    cell.assign(text_, begin, at_ - begin);
  }

  void read_quoted(std::string& cell) {
    const int64_t opened = line_;
    for (++at_;; ++at_) {
      const size_t quote_at = text_.find('"', at_);
      if (quote_at == std::string_view::npos)
        refuse(opened, "a closing quote for the cell that begins here", "the end of the file");
      const std::string_view part = text_.substr(at_, quote_at - at_);
      line_ += std::count(part.begin(), part.end(), '\n');
      if (part.find('\0') != std::string_view::npos) refuse(opened, "UTF-8 text", "a NUL byte in the cell that begins here");
      cell += part;
      at_ = quote_at + 1;
      if (peek() != '"') return;
      cell += '"';
    }
  }

  const fs::path& path_;
  std::string_view text_;
  char delimiter_;
  std::array<bool, 256> special_{};
  size_t at_ = 0;
  int64_t line_ = 1;
  int64_t row_line_ = 1;
};

}  // namespace

void read_delimited(Table& table, std::string_view text, char delimiter, size_t max_rows) {
  DelimitedReader reader(table.path, text, delimiter);
  if (reader.next(table.columns, max_columns + 1) == 0)
    fail(Code::bad_input, table.path.string(), "a header line", "an empty file");
  require_distinct_columns(table, at_line(table.path, reader.row_line()));
  const size_t width = table.columns.size();
  table.nested.assign(width, 0);
  while (table.rows.size() < max_rows) {
    std::vector<std::string> cells;
    cells.reserve(width);
    const size_t count = reader.next(cells, width);
    if (count == 0) return;
    if (count != width)
      fail(Code::bad_input, at_line(table.path, reader.row_line()), str(width, " cells, as in the header"), str(count));
    table.rows.push_back(std::move(cells));
    table.lines.push_back(reader.row_line());
  }
}

}  // namespace dept
