#include "dept/data/table.h"

#include <algorithm>
#include <unordered_set>

#include "data/readers.h"
#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {
namespace {

constexpr std::string_view extensions = "a .csv, .tsv, .json, .jsonl or .parquet file";

std::string lower_extension(const fs::path& path) {
  std::string extension = path.extension().string();
  for (char& c : extension)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return extension;
}

bool is_gzip(const fs::path& path) {
  return lower_extension(path) == ".gz";
}

// Of what is inside a .gz file.
std::string extension_of(const fs::path& path) {
  return lower_extension(is_gzip(path) ? path.stem() : path);
}

// Whether messages count lines, not rows.
bool has_lines(const fs::path& path) {
  const std::string extension = extension_of(path);
  return extension != ".json" && extension != ".parquet";
}

bool is_delimited(const fs::path& path) {
  return has_lines(path) && extension_of(path) != ".jsonl";
}

std::shared_ptr<const RowFile> row_file(const fs::path& path) {
  return std::make_shared<const RowFile>(RowFile{path.string(), has_lines(path) ? ":" : ": row "});
}

Dialect dialect_of(const std::string& extension, const TableFormat& format) {
  const bool tabs = extension == ".tsv";
  return {format.delimiter.value_or(tabs ? '\t' : ','), format.quotes.value_or(!tabs), !format.delimiter,
          format.quotes.has_value()};
}

void read_text(Table& table, std::string_view text, const TableFormat& format, size_t max_rows) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  const std::string extension = extension_of(table.path);
  if (extension == ".jsonl") {
    read_json_lines(table, text, max_rows);
  } else if (extension == ".json") {
    read_json_rows(table, text, max_rows);
  } else if (extension == ".csv" || extension == ".tsv" || format.delimiter) {
    read_delimited(table, text, dialect_of(extension, format), max_rows);
  } else {
    fail(Code::bad_input, table.path.string(), extensions, str(quote(extension), " (--delimiter reads it as a delimited file)"));
  }
}

Table read(const fs::path& path, const TableFormat& format, size_t max_rows) {
  Table table;
  table.path = path;
  table.parts = {{0, row_file(path)}};
  const MappedFile file(path);
  if (is_gzip(path) && extension_of(path) != ".parquet") {
    read_text(table, inflate_gzip(file.bytes(), path), format, max_rows);
  } else if (extension_of(path) == ".parquet") {
    if (is_gzip(path))
      fail(Code::bad_input, path.string(), "a parquet file without .gz, as it is compressed in itself", "\".gz\"");
    read_parquet(table, file.bytes(), max_rows, format.class_names);
  } else {
    read_text(table, {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()}, format, max_rows);
  }
  if (table.rows.empty()) fail(Code::bad_input, path.string(), "at least one row", "none");
  return table;
}

// Where each of the table's columns stands in another one.
std::vector<size_t> places_of(const Table& table, const Table& more) {
  std::vector<size_t> places;
  for (const std::string& name : table.columns) {
    const auto found = std::find(more.columns.begin(), more.columns.end(), name);
    if (found != more.columns.end()) places.push_back(static_cast<size_t>(found - more.columns.begin()));
  }
  if (places.size() != table.columns.size() || more.columns.size() != table.columns.size())
    fail(Code::bad_input, more.path.string(), str("the columns of ", table.path.string(), ", ", table.column_names()),
         str("columns ", more.column_names(), more.delimiter_hint()));
  return places;
}

void append_class_names(Table& table, const Table& more, const std::vector<size_t>& places) {
  if (more.class_names.empty()) return;
  table.class_names.resize(table.columns.size());
  for (size_t column = 0; column < places.size(); ++column) {
    std::vector<std::string>& names = table.class_names[column];
    const std::vector<std::string>& others = more.class_names[places[column]];
    if (names.empty()) names = others;
    if (!others.empty() && names != others)
      fail(Code::bad_input, str(more.path.string(), ": ", table.columns[column]),
           str("the class names of ", table.path.string(), ", ", quote(join(names, ", "), 200)), quote(join(others, ", "), 200));
  }
}

}  // namespace

TableFormat table_format(const std::string& delimiter, const std::optional<std::string>& quoting) {
  TableFormat format;
  if (delimiter == "tab" || delimiter == "\\t") {
    format.delimiter = '\t';
  } else if (!delimiter.empty()) {
    const char c = delimiter[0];
    const bool plain = delimiter.size() == 1 && static_cast<uint8_t>(c) < 0x80 && c != '"' && c != '\n' && c != '\r' && c != '\0';
    if (!plain) fail(Code::usage, "--delimiter", "one ASCII character that is no quote, or tab", quote(delimiter));
    format.delimiter = c;
  }
  if (quoting && !quoting->empty()) format.quotes = *quoting == "minimal";
  return format;
}

TableKind table_kind(const fs::path& path, const TableFormat& format) {
  const std::string extension = extension_of(path);
  if (extension == ".json" || extension == ".jsonl") return TableKind::objects;
  const bool columns = extension == ".csv" || extension == ".tsv" || extension == ".parquet" || format.delimiter;
  return columns ? TableKind::columns : TableKind::none;
}

std::string RowPlace::text() const {
  return file == nullptr ? str("row ", number) : str(file->name, file->unit, number);
}

size_t Table::column(std::string_view name) const {
  const auto found = std::find(columns.begin(), columns.end(), name);
  if (found == columns.end())
    fail(Code::bad_input, path.string(), str("a column ", quote(name)), str("columns ", column_names(), delimiter_hint()));
  const size_t index = static_cast<size_t>(found - columns.begin());
  if (index < nested.size() && nested[index] != 0)
    fail(Code::bad_input, where(nested[index] - 1), str("text in column ", quote(name)), "an object or array");
  return index;
}

bool Table::has(std::string_view name) const {
  return std::find(columns.begin(), columns.end(), name) != columns.end();
}

bool Table::is_null(size_t row, size_t column) const {
  return column < nulls.size() && row < nulls[column].size() && nulls[column][row];
}

void Table::set_null(size_t row, size_t column) {
  if (nulls.size() <= column) nulls.resize(column + 1);
  if (nulls[column].size() <= row) nulls[column].resize(row + 1, false);
  nulls[column][row] = true;
}

std::string Table::column_names() const {
  constexpr size_t shown = 20;
  std::vector<std::string> names;
  for (size_t i = 0; i < columns.size() && i < shown; ++i) names.push_back(quote(columns[i]));
  if (columns.size() > shown) names.push_back("...");
  return join(names, ", ");
}

std::string Table::delimiter_hint() const {
  if (columns.size() != 1 || !is_delimited(path)) return "";
  const size_t at = columns[0].find_first_of("\t;,|");
  if (at == std::string::npos) return "";
  const std::string delimiter = columns[0][at] == '\t' ? "tab" : str("\"", columns[0][at], "\"");
  return str(" (--delimiter ", delimiter, " if that separates the columns of ", quote(columns[0]), ")");
}

RowPlace Table::place(size_t row) const {
  const auto next =
      std::upper_bound(parts.begin(), parts.end(), row, [](size_t at, const Part& part) { return at < part.first_row; });
  return {next == parts.begin() ? row_file(path) : std::prev(next)->file, lines.at(row)};
}

std::string at_line(const fs::path& path, int64_t line) {
  return str(path.string(), ":", line);
}

void require_utf8(std::string_view bytes, const fs::path& path, int64_t line) {
  const size_t bad = find_invalid_utf8(bytes);
  if (bad == std::string_view::npos) return;
  line += std::count(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(bad), '\n');
  fail(Code::bad_input, at_line(path, line), "UTF-8 text", str("the bytes ", quote(bytes.substr(bad, 4))));
}

void require_distinct_columns(const Table& table, std::string_view where) {
  if (table.columns.size() > max_columns) fail(Code::bad_input, where, str("at most ", max_columns, " columns"), "more");
  std::unordered_set<std::string_view> seen;
  for (const std::string& name : table.columns)
    if (!seen.insert(name).second) fail(Code::bad_input, where, "each column once", str(quote(name), " twice"));
}

void append_rows(Table& table, Table&& more) {
  const std::vector<size_t> places = places_of(table, more);
  append_class_names(table, more, places);
  const size_t before = table.rows.size();
  for (size_t column = 0; column < places.size(); ++column) {
    const size_t place = places[column];
    if (table.nested[column] == 0 && more.nested[place] != 0) table.nested[column] = before + more.nested[place];
    for (size_t row = 0; place < more.nulls.size() && row < more.nulls[place].size(); ++row)
      if (more.nulls[place][row]) table.set_null(before + row, column);
  }
  const bool same_order = std::is_sorted(places.begin(), places.end());
  for (std::vector<std::string>& row : more.rows) {
    if (!same_order) {
      std::vector<std::string> ordered;
      for (const size_t place : places) ordered.push_back(std::move(row[place]));
      row = std::move(ordered);
    }
    table.rows.push_back(std::move(row));
  }
  table.lines.insert(table.lines.end(), more.lines.begin(), more.lines.end());
  for (const Table::Part& part : more.parts) table.parts.push_back({before + part.first_row, part.file});
}

Table read_table(const fs::path& path, const TableFormat& format) {
  return read(path, format, all_rows);
}

Table read_tables(const std::vector<std::string>& paths, const TableFormat& format) {
  Table table = read_table(paths.at(0), format);
  for (size_t i = 1; i < paths.size(); ++i) append_rows(table, read_table(paths[i], format));
  return table;
}

Table read_table_head(const fs::path& path, const TableFormat& format) {
  return read(path, format, 1);
}

JsonMember read_json_member(const fs::path& path, const std::vector<std::string>& keys) {
  JsonMember member;
  member.table.path = path;
  member.table.parts = {{0, row_file(path)}};
  const MappedFile file(path);
  std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  read_member_rows(member, text, keys);
  return member;
}

}  // namespace dept
