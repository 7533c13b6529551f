#include "data/readers.h"
#include "dept/base/error.h"

// Bytes are read as each kind of table, plain and as gzip, or refused with an Error; every row then has a cell a column.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (int kind = 0; kind < 6; ++kind) {
    dept::Table table;
    table.path = kind == 3 ? "input.json" : "input";
    try {
      if (kind < 2) dept::read_delimited(table, text, {kind == 0 ? ',' : '\t', true, true}, dept::all_rows);
      if (kind == 2) dept::read_json_lines(table, text, dept::all_rows);
      if (kind == 3) dept::read_json_rows(table, text, dept::all_rows);
      if (kind == 4) dept::read_delimited(table, text, {'\t', false}, dept::all_rows);
      if (kind == 5)
        dept::read_delimited(table, dept::inflate_gzip(std::as_bytes(std::span(text)), table.path), {}, dept::all_rows);
    } catch (const dept::Error&) {
      continue;
    }
    if (table.lines.size() != table.rows.size() || table.nested.size() != table.columns.size()) __builtin_trap();
    for (const auto& row : table.rows)
      if (row.size() != table.columns.size()) __builtin_trap();
    for (const auto& nulls : table.nulls)
      if (nulls.size() > table.rows.size()) __builtin_trap();
  }
  return 0;
}
