// Tables of text: csv, tsv, json (an array of objects or {"data": [...]}), jsonl, parquet.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dept/base/file.h"

namespace dept {

struct Table {
  fs::path path;
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;  ///< one cell a column; numbers and booleans of JSON as written, null as ""
  std::vector<int64_t> lines;                  ///< where each row starts in the file, from 1 (json, parquet: row number)
  std::vector<int64_t> nested;  ///< [columns] first of `lines` whose cell is a JSON object or array (kept as its text), 0 none

  /// Index of a column, or throws bad_input naming the file, the column asked for and the columns there, or the place of an
  /// object or array in that column.
  size_t column(std::string_view name) const;
  bool has(std::string_view name) const;
  /// The columns for a message: quoted, joined by commas, cut when there are many.
  std::string column_names() const;
  /// "file:line" of a row, for messages ("file: row n" in json and parquet).
  std::string where(size_t row) const;
};

/// By extension. Strict: UTF-8 (BOM allowed), CRLF or LF, RFC 4180 quotes (with newlines inside; tsv has the same rules with
/// a tab), blank lines skipped; ragged rows, broken UTF-8, columns named twice, unknown extensions, no header and no rows
/// throw bad_input with file and line.
Table read_table(const fs::path& path);

/// The first row only, with all of read_table's checks that need no more: cheap, for checks before a model is loaded.
Table read_table_head(const fs::path& path);

}  // namespace dept
