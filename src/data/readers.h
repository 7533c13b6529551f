// The readers behind read_table. Each fills columns, rows, lines, nested and nulls of a table whose path is set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "dept/data/table.h"

namespace dept {

constexpr size_t max_columns = 16384;
constexpr size_t all_rows = SIZE_MAX;

// What a compressed file may take in memory: a fixed amount, and a number of bytes for each of its own.
constexpr size_t free_bytes = size_t{256} << 20;
constexpr size_t most_growth = 64;

/// "file:line".
std::string at_line(const fs::path& path, int64_t line);

/// Throws bad_input when `bytes`, which start on `line`, are not UTF-8.
void require_utf8(std::string_view bytes, const fs::path& path, int64_t line);

/// Throws bad_input when a name stands twice or there are too many.
void require_distinct_columns(const Table& table, std::string_view where);

/// The bytes that a .gz file's bytes stand for. Throws bad_input for what is no gzip, cut or damaged, or grows too much.
std::string inflate_gzip(std::span<const std::byte> bytes, const fs::path& path);

struct Dialect {
  char delimiter = ',';
  bool quotes = true;
  bool may_name_delimiter = false;  ///< Excel's first line "sep=;" decides
  bool quotes_given = true;         ///< else cells in quotes, which are kept as they are, are counted in a warning
};

void read_delimited(Table& table, std::string_view text, Dialect dialect, size_t max_rows);
void read_json_rows(Table& table, std::string_view text, size_t max_rows);
/// Of what read_json_member gives all but the table's path, which is set.
void read_member_rows(JsonMember& member, std::string_view text, const std::vector<std::string>& keys);
void read_json_lines(Table& table, std::string_view text, size_t max_rows);
/// The rows of a file's bytes. Throws bad_input too when they would take far more memory than the file's size lets expect.
void read_parquet(Table& table, std::span<const std::byte> bytes, size_t max_rows, bool class_names = false);

}  // namespace dept
