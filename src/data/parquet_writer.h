// The parquet side of write_table.
#pragma once

#include <span>
#include <string>

#include "dept/data/table_writer.h"

namespace dept {

/// ".csv", in lower case.
std::string table_extension(const fs::path& path);

/// A parquet file's bytes: the table's columns, then the added ones, as write_table has them. Throws bad_input.
std::string parquet_bytes(const Table& table, std::span<const AddedColumn> added);

}  // namespace dept
