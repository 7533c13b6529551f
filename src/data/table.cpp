#include "dept/data/table.h"

#include <algorithm>
#include <unordered_set>

#include "data/readers.h"
#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {
namespace {

std::string extension_of(const fs::path& path) {
  std::string extension = path.extension().string();
  for (char& c : extension)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return extension;
}

Table read(const fs::path& path, size_t max_rows) {
  Table table;
  table.path = path;
  const std::string extension = extension_of(path);
  const MappedFile file(path);
  std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  if (extension == ".csv") {
    read_delimited(table, text, ',', max_rows);
  } else if (extension == ".tsv") {
    read_delimited(table, text, '\t', max_rows);
  } else if (extension == ".jsonl") {
    read_json_lines(table, text, max_rows);
  } else if (extension == ".json") {
    read_json_rows(table, text, max_rows);
  } else if (extension == ".parquet") {
    read_parquet(table, file.bytes(), max_rows);
  } else {
    fail(Code::bad_input, path.string(), "a .csv, .tsv, .json, .jsonl or .parquet file", quote(extension));
  }
  if (table.rows.empty()) fail(Code::bad_input, path.string(), "at least one row", "none");
  return table;
}

}  // namespace

size_t Table::column(std::string_view name) const {
  const auto found = std::find(columns.begin(), columns.end(), name);
  if (found == columns.end())
    fail(Code::bad_input, path.string(), str("a column ", quote(name)), str("columns ", column_names()));
  const size_t index = static_cast<size_t>(found - columns.begin());
  if (index < nested.size() && nested[index] != 0) {
    const auto row = std::find(lines.begin(), lines.end(), nested[index]) - lines.begin();
    fail(Code::bad_input, where(static_cast<size_t>(row)), str("text in column ", quote(name)), "an object or array");
  }
  return index;
}

bool Table::has(std::string_view name) const {
  return std::find(columns.begin(), columns.end(), name) != columns.end();
}

std::string Table::column_names() const {
  constexpr size_t shown = 20;
  std::vector<std::string> names;
  for (size_t i = 0; i < columns.size() && i < shown; ++i) names.push_back(quote(columns[i]));
  if (columns.size() > shown) names.push_back("...");
  return join(names, ", ");
}

std::string Table::where(size_t row) const {
  const std::string extension = extension_of(path);
  const bool has_lines = extension != ".json" && extension != ".parquet";
  return has_lines ? at_line(path, lines.at(row)) : str(path.string(), ": row ", lines.at(row));
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

Table read_table(const fs::path& path) {
  return read(path, all_rows);
}

Table read_table_head(const fs::path& path) {
  return read(path, 1);
}

}  // namespace dept
