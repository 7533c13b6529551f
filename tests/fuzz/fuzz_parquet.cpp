#include "data/readers.h"
#include "dept/base/error.h"

// Any bytes are read as a parquet file or refused with an Error; every row then has a cell a column.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  dept::Table table;
  table.path = "input.parquet";
  try {
    dept::read_parquet(table, std::as_bytes(std::span(data, size)), dept::all_rows, /*class_names=*/true);
  } catch (const dept::Error&) {
    return 0;
  }
  for (const auto& row : table.rows)
    if (row.size() != table.columns.size()) __builtin_trap();
  return 0;
}
