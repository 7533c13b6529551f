// Tables of text: csv, tsv, json (an array of objects or {"data": [...]}), jsonl, each also as .gz, and parquet.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dept/base/file.h"

namespace dept {

/// How a file is to be read where its extension does not say it all.
struct TableFormat {
  std::optional<char> delimiter;  ///< absent: a tab in .tsv, else a comma or what Excel's first line "sep=;" names
  std::optional<bool> quotes;     ///< whether quotes enclose cells (RFC 4180); absent: not in .tsv, as GLUE's files are written
  bool class_names = false;       ///< parquet files of `datasets`: the integers of a ClassLabel are read as its names
};

/// From --delimiter (one ASCII character, "tab" or "\t"; "" says nothing) and --quoting (minimal or none, as Python's csv module
/// names them; absent or "" says nothing). Throws usage.
TableFormat table_format(const std::string& delimiter, const std::optional<std::string>& quoting);

/// What read_table would take a file for.
enum class TableKind {
  none,
  columns,  ///< csv, tsv and what else is delimited, parquet
  objects,  ///< json, jsonl
};
TableKind table_kind(const fs::path& path, const TableFormat& format = {});

/// A file as messages about its rows name it: "FILE:3", "FILE: row 3".
struct RowFile {
  std::string name;
  std::string unit = ":";  ///< between the name and a row's number
};

/// Where a row stands.
struct RowPlace {
  std::shared_ptr<const RowFile> file;  ///< null: in no file
  int64_t number = 0;                   ///< its first line; json, parquet: its number, from 1

  std::string text() const;
};

struct Table {
  fs::path path;  ///< of the first file
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;  ///< one cell a column; numbers and booleans of JSON as written, null as ""
  std::vector<int64_t> lines;                  ///< where each row starts in its file, from 1 (json, parquet: row number)
  std::vector<size_t> nested;  ///< [columns] 1 + the first row whose cell is a JSON object or array (kept as its text), 0 none
  std::vector<std::vector<bool>> nulls;               ///< [columns][rows] cells that are null; what is not there is none
  std::vector<std::vector<std::string>> class_names;  ///< [columns] of a ClassLabel whose names are read, in order; else empty

  struct Part {
    size_t first_row;
    std::shared_ptr<const RowFile> file;
  };
  std::vector<Part> parts;  ///< the files that the rows come from, in order

  /// Index of a column, or throws bad_input naming the file, the column asked for and the columns there, or the place of an
  /// object or array in that column.
  size_t column(std::string_view name) const;
  bool has(std::string_view name) const;
  bool is_null(size_t row, size_t column) const;
  /// The columns for a message: quoted, joined by commas, cut when there are many.
  std::string column_names() const;
  /// What a message adds where the one column's name looks like several under another delimiter; else "".
  std::string delimiter_hint() const;
  /// Where a row stands, also as the text that messages begin with.
  RowPlace place(size_t row) const;
  std::string where(size_t row) const { return place(row).text(); }

  void set_null(size_t row, size_t column);
};

/// By extension; with a delimiter given, a file of any other extension is a delimited one. Strict: UTF-8 (BOM allowed), CRLF or
/// LF, RFC 4180 quotes (with newlines inside) or none, blank lines skipped, columns at the end without a name left out when they
/// are empty; ragged rows, broken UTF-8, columns named twice, unknown extensions, no header and no rows throw bad_input with file
/// and line. A .gz file that grows beyond 256 MB and 64 times its size throws bad_input too.
Table read_table(const fs::path& path, const TableFormat& format = {});

/// The rows of several files, in order, under the first one's columns. Throws bad_input naming two files whose columns or class
/// names differ.
Table read_tables(const std::vector<std::string>& paths, const TableFormat& format = {});

/// The first row only, with all of read_table's checks that need no more: cheap, for checks before a model is loaded.
Table read_table_head(const fs::path& path, const TableFormat& format = {});

/// The array of objects at one of some keys of a JSON file's outermost object, which other things may stand in too.
struct JsonMember {
  std::string key;                            ///< the first of them in the file; "" none is there, and the table has no rows
  Table table;                                ///< its objects as rows
  std::map<std::string, std::string> beside;  ///< plain values of the outermost object
};
/// Throws io, or bad_input for what read_table refuses in a .json file.
JsonMember read_json_member(const fs::path& path, const std::vector<std::string>& keys);

/// Adds the rows of another file, its columns in whatever order. Throws as read_tables.
void append_rows(Table& table, Table&& more);

}  // namespace dept
