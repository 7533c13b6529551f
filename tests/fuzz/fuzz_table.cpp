#include "../../src/data/readers.h"
#include "dept/base/error.h"

// Text of any bytes is read as each kind of table or refused with an Error; every row then has a cell a column.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (int kind = 0; kind < 4; ++kind) {
    dept::Table table;
    table.path = kind == 3 ? "input.json" : "input";
    try {
      if (kind < 2) dept::read_delimited(table, text, kind == 0 ? ',' : '\t', dept::all_rows);
      if (kind == 2) dept::read_json_lines(table, text, dept::all_rows);
      if (kind == 3) dept::read_json_rows(table, text, dept::all_rows);
    } catch (const dept::Error&) {
      continue;
    }
    if (table.lines.size() != table.rows.size() || table.nested.size() != table.columns.size()) __builtin_trap();
    for (const auto& row : table.rows)
      if (row.size() != table.columns.size()) __builtin_trap();
  }
  return 0;
}
