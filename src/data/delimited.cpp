// csv and tsv by RFC 4180, or without quotes. Our own reader, since each row's line number and strictness about quotes are the
// point.
#include <algorithm>
#include <array>
#include <cstring>

#include "data/readers.h"
#include "dept/base/error.h"
#include "dept/base/log.h"
#include "dept/base/text.h"

namespace dept {
namespace {

constexpr std::string_view quoting_hint = " (--quoting none where quotes are plain characters)";

/// How many cells a record has, and how many up to its last one that is not empty.
struct Record {
  size_t cells = 0, filled = 0;
};

class DelimitedReader {
 public:
  DelimitedReader(const fs::path& path, std::string_view text, Dialect dialect) : path_(path), text_(text), dialect_(dialect) {
    if (dialect.may_name_delimiter) read_delimiter();
    for (const char c : {dialect_.delimiter, '\n', '\r', '\0'}) special_[static_cast<uint8_t>(c)] = true;
    if (dialect_.quotes) special_[static_cast<uint8_t>('"')] = true;
  }

  /// The next record's first `limit` cells; no cells at the end of the file.
  Record next(std::vector<std::string>& cells, size_t limit) {
    skip_blank_lines();
    Record record;
    if (at_ == text_.size()) return record;
    row_line_ = line_;
    const size_t begin = at_;
    for (bool more = true; more;) {
      std::string cell;
      more = read_cell(cell);
      ++record.cells;
      if (!cell.empty()) record.filled = record.cells;
      quoted_ += !dialect_.quotes && cell.size() > 1 && cell.front() == '"' && cell.back() == '"';
      if (record.cells <= limit) cells.push_back(std::move(cell));
    }
    require_utf8(text_.substr(begin, at_ - begin), path_, row_line_);
    return record;
  }

  int64_t row_line() const { return row_line_; }
  /// Cells so far that stand in quotes where quotes mean nothing.
  size_t quoted() const { return quoted_; }

 private:
  char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  [[noreturn]] void refuse(int64_t line, std::string_view expected, std::string_view received) const {
    fail(Code::bad_input, at_line(path_, line), expected, received);
  }
  size_t line_end_length() const { return peek() == '\n' ? 1 : peek() == '\r' && peek(1) == '\n' ? 2 : 0; }

  // Excel's first line "sep=;".
  void read_delimiter() {
    constexpr std::string_view mark = "sep=";
    if (!text_.starts_with(mark)) return;
    at_ = mark.size() + 1;
    if (at_ < text_.size() && line_end_length() > 0) {
      dialect_.delimiter = text_[mark.size()];
    } else {
      at_ = 0;
    }
  }

  void skip_blank_lines() {
    for (size_t length = line_end_length(); length != 0; length = line_end_length()) {
      at_ += length;
      ++line_;
    }
  }

  // Returns whether another cell of the record follows.
  bool read_cell(std::string& cell) {
    const int64_t opened = line_;
    if (dialect_.quotes && peek() == '"') {
      read_quoted(cell);
    } else {
      read_plain(cell);
    }
    if (at_ == text_.size()) return false;
    if (text_[at_] == dialect_.delimiter) {
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
      refuse(line_, str("a cell with quotes in it to be quoted, each quote doubled", quoting_hint),
             str("a bare quote after ", quote(cell, 20)));
    if (c == '\r') refuse(line_, "lines that end in LF or CRLF", "a lone CR");
    if (c == '\0') refuse(line_, "UTF-8 text", "a NUL byte");
    refuse(opened, str("a delimiter or a line end after a closing quote", quoting_hint),
           str(quote(text_.substr(at_, 20)), line_ == opened ? "" : str(" after the quote that closes on line ", line_)));
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
        refuse(opened, str("a closing quote for the cell that begins here", quoting_hint), "the end of the file");
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
  Dialect dialect_;
  std::array<bool, 256> special_{};
  size_t at_ = 0;
  int64_t line_ = 1;
  int64_t row_line_ = 1;
  size_t quoted_ = 0;
};

// Returns how many cells the header has with those at its end that name no column.
size_t read_header(Table& table, DelimitedReader& reader) {
  const Record header = reader.next(table.columns, max_columns + 1);
  if (header.cells == 0) fail(Code::bad_input, table.path.string(), "a header line", "an empty file");
  if (header.filled == 0) fail(Code::bad_input, at_line(table.path, reader.row_line()), "names of columns", "empty cells");
  table.columns.resize(std::min(header.filled, table.columns.size()));
  require_distinct_columns(table, at_line(table.path, reader.row_line()));
  table.nested.assign(table.columns.size(), 0);
  return header.cells;
}

// Empty cells behind the last column are Excel's; beyond the header's own they must not be what ends the text of a lone column.
bool fits(const Record& record, size_t width, size_t header_cells) {
  return record.cells == width || (record.cells > width && record.filled <= width && (width > 1 || record.cells <= header_cells));
}

}  // namespace

void read_delimited(Table& table, std::string_view text, Dialect dialect, size_t max_rows) {
  DelimitedReader reader(table.path, text, dialect);
  const size_t header_cells = read_header(table, reader), width = table.columns.size();
  size_t wider = 0;
  while (table.rows.size() < max_rows) {
    std::vector<std::string> cells;
    cells.reserve(width);
    const Record record = reader.next(cells, width);
    if (record.cells == 0) break;
    if (!fits(record, width, header_cells))
      fail(Code::bad_input, at_line(table.path, reader.row_line()),
           str(width, " cells, as in the header", table.delimiter_hint()),
           str(record.cells < width ? record.cells : std::max(record.filled, width + 1)));
    wider += record.cells > header_cells;
    table.rows.push_back(std::move(cells));
    table.lines.push_back(reader.row_line());
  }
  if (max_rows != all_rows) return;
  if (wider > 0)
    log::warn(str(table.path.string(), ": empty cells behind the header's last column are left out in ", wider, " rows"));
  if (reader.quoted() > 0 && !dialect.quotes_given)
    log::warn(str(table.path.string(), ": ", reader.quoted(),
                  " cells stand in quotes, which are kept as text (--quoting minimal takes them off)"));
}

}  // namespace dept
