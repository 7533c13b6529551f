#include "dept/data/table_writer.h"

#include <charconv>

#include "data/parquet_writer.h"
#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {
namespace {

std::string number_text(double value) {
  char buffer[32];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr};
}

struct Style {
  char delimiter;
  bool quotes;
  std::string_view path;
};

void append_cell(std::string& out, std::string_view cell, const Style& style) {
  const char special[] = {style.delimiter, '\n', '\r', '"', '\0'};
  const size_t first = cell.find_first_of(style.quotes ? special : std::string(special, 3));
  if (first == std::string_view::npos) {
    out += cell;
    return;
  }
  if (!style.quotes)
    fail(Code::bad_input, style.path,
         "cells without delimiters and line ends, as nothing is quoted (--quoting minimal, .csv and .parquet hold every cell)",
         quote(cell, 40));
  out += '"';
  for (const char c : cell) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}

std::string added_text(const AddedColumn& column, size_t row) {
  const auto* numbers = std::get_if<std::vector<double>>(&column.values);
  return numbers != nullptr ? number_text(numbers->at(row)) : std::get<std::vector<std::string>>(column.values).at(row);
}

std::string delimited(const Table& table, std::span<const AddedColumn> added, const Style& style) {
  std::string out;
  const auto line = [&](const auto& cell_of) {
    const size_t own = table.columns.size();
    for (size_t i = 0; i < own + added.size(); ++i) {
      if (i > 0) out += style.delimiter;
      append_cell(out, cell_of(i, own), style);
    }
    out += '\n';
  };
  line([&](size_t i, size_t own) { return i < own ? table.columns[i] : added[i - own].name; });
  for (size_t row = 0; row < table.rows.size(); ++row)
    line([&](size_t i, size_t own) { return i < own ? table.rows[row][i] : added_text(added[i - own], row); });
  return out;
}

}  // namespace

std::string table_extension(const fs::path& path) {
  std::string extension = path.extension().string();
  for (char& c : extension)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return extension;
}

bool is_table_name(const fs::path& path) {
  const std::string extension = table_extension(path);
  return extension == ".csv" || extension == ".tsv" || extension == ".parquet";
}

void require_new_columns(const Table& table, const std::vector<std::string>& names) {
  for (const std::string& name : names)
    if (table.has(name))
      fail(Code::bad_input, table.path.string(),
           str("no column ", quote(name), ", as the predictions are written under this name"),
           str("columns ", table.column_names()));
}

void write_table(const fs::path& path, const Table& table, std::span<const AddedColumn> added, const TableFormat& format) {
  const std::string extension = table_extension(path);
  if (extension == ".parquet") {
    write_atomic(path, parquet_bytes(table, added));
  } else if (extension == ".csv" || extension == ".tsv") {
    const bool tabs = extension == ".tsv";
    write_atomic(path, delimited(table, added,
                                 {format.delimiter.value_or(tabs ? '\t' : ','), format.quotes.value_or(!tabs), path.native()}));
  } else {
    fail(Code::usage, path.string(), "a .csv, .tsv or .parquet file", extension.empty() ? "no extension" : quote(extension));
  }
}

}  // namespace dept
