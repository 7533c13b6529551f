// A table's rows with further columns, as csv, tsv or parquet.
#pragma once

#include <span>
#include <string>
#include <variant>
#include <vector>

#include "dept/data/table.h"

namespace dept {

struct AddedColumn {
  std::string name;
  std::variant<std::vector<std::string>, std::vector<double>> values;  ///< as many as the table has rows
};

/// Whether write_table takes the name: .csv, .tsv and .parquet in any case.
bool is_table_name(const fs::path& path);

/// Throws bad_input for a table that has one of these columns already.
void require_new_columns(const Table& table, const std::vector<std::string>& names);

/// Writes table.columns and table.rows, then the added columns, to `path`, in full or not at all; numbers read back exactly. csv
/// and tsv take delimiter and quotes of `format`, by default as read_table does: commas, quoted by RFC 4180 where need be, in
/// .csv; tabs and no quotes in .tsv, which cannot hold every cell. In parquet added texts are strings and added numbers doubles;
/// the table's own columns keep their types where table.path is a parquet file, else they are strings. Throws bad_input, io.
void write_table(const fs::path& path, const Table& table, std::span<const AddedColumn> added, const TableFormat& format = {});

}  // namespace dept
