// The readers behind read_table. Each fills columns, rows, lines and nested of a table whose path is set.
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

/// "file:line".
std::string at_line(const fs::path& path, int64_t line);

/// Throws bad_input when `bytes`, which start on `line`, are not UTF-8.
void require_utf8(std::string_view bytes, const fs::path& path, int64_t line);

/// Throws bad_input when a name stands twice or there are too many.
void require_distinct_columns(const Table& table, std::string_view where);

void read_delimited(Table& table, std::string_view text, char delimiter, size_t max_rows);
void read_json_rows(Table& table, std::string_view text, size_t max_rows);
/// The rows of a file's bytes. Throws bad_input too when they would take far more memory than the file's size lets expect.
void read_parquet(Table& table, std::span<const std::byte> bytes, size_t max_rows);
void read_json_lines(Table& table, std::string_view text, size_t max_rows);

}  // namespace dept
