// Parquet through Arrow's C++ library: a table's columns in their own types, or as strings, and further ones.
#include "data/parquet_writer.h"

#include <arrow/array/builder_binary.h>
#include <arrow/array/builder_primitive.h>
#include <arrow/io/file.h>
#include <arrow/io/memory.h>
#include <arrow/table.h>
#include <arrow/type.h>
#include <parquet/arrow/reader.h>
#include <parquet/arrow/writer.h>
#include <parquet/exception.h>

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {
namespace {

constexpr int64_t group_rows = 1 << 16;

void require(const arrow::Status& status, const fs::path& path, std::string_view expected) {
  if (!status.ok()) fail(Code::bad_input, path.string(), expected, quote(status.message(), 200));
}
template <class T>
T require(arrow::Result<T> result, const fs::path& path, std::string_view expected) {
  require(result.status(), path, expected);
  return std::move(result).ValueOrDie();
}

// `value_of(row)` for each row, as a column.
template <class Builder, class ValueOf>
std::shared_ptr<arrow::ChunkedArray> column_of(size_t rows, const fs::path& path, const ValueOf& value_of) {
  Builder builder;
  for (size_t row = 0; row < rows; ++row) require(builder.Append(value_of(row)), path, "rows that fit in memory");
  return std::make_shared<arrow::ChunkedArray>(require(builder.Finish(), path, "rows that fit in memory"));
}

std::shared_ptr<arrow::Table> with_column(const std::shared_ptr<arrow::Table>& table, const std::string& name,
                                          const std::shared_ptr<arrow::ChunkedArray>& column, const fs::path& path) {
  return require(table->AddColumn(table->num_columns(), arrow::field(name, column->type()), column), path, "one more column");
}

// The file as it is, without what its schema tells other programs of its columns.
std::shared_ptr<arrow::Table> read_whole(const fs::path& path, size_t rows) {
  constexpr std::string_view readable = "a readable parquet file";
  const auto file = require(arrow::io::ReadableFile::Open(path.string()), path, readable);
  auto reader = require(parquet::arrow::OpenFile(file, arrow::default_memory_pool()), path, readable);
  const std::shared_ptr<arrow::Table> table = require(reader->ReadTable(), path, readable);
  if (static_cast<size_t>(table->num_rows()) != rows)
    fail(Code::bad_input, path.string(), str(rows, " rows, as before"), str(table->num_rows()));
  return table->ReplaceSchemaMetadata(nullptr);
}

std::shared_ptr<arrow::Table> as_strings(const Table& table) {
  std::shared_ptr<arrow::Table> out =
      arrow::Table::Make(arrow::schema(arrow::FieldVector{}), std::vector<std::shared_ptr<arrow::ChunkedArray>>{},
                         static_cast<int64_t>(table.rows.size()));
  for (size_t i = 0; i < table.columns.size(); ++i)
    out = with_column(out, table.columns[i],
                      column_of<arrow::StringBuilder>(table.rows.size(), table.path,
                                                      [&](size_t row) -> const std::string& { return table.rows[row][i]; }),
                      table.path);
  return out;
}

std::shared_ptr<arrow::ChunkedArray> added_column(const AddedColumn& column, const fs::path& path) {
  if (const auto* numbers = std::get_if<std::vector<double>>(&column.values))
    return column_of<arrow::DoubleBuilder>(numbers->size(), path, [&](size_t row) { return (*numbers)[row]; });
  const auto& texts = std::get<std::vector<std::string>>(column.values);
  return column_of<arrow::StringBuilder>(texts.size(), path, [&](size_t row) -> const std::string& { return texts[row]; });
}

}  // namespace

std::string parquet_bytes(const Table& table, std::span<const AddedColumn> added) {
  try {
    const bool typed = table_extension(table.path) == ".parquet";
    std::shared_ptr<arrow::Table> out = typed ? read_whole(table.path, table.rows.size()) : as_strings(table);
    for (const AddedColumn& column : added) out = with_column(out, column.name, added_column(column, table.path), table.path);
    const auto sink = require(arrow::io::BufferOutputStream::Create(), table.path, "rows that fit in memory");
    const auto types =
        parquet::ArrowWriterProperties::Builder().store_schema()->build();  // those that parquet itself does not know
    require(parquet::arrow::WriteTable(*out, arrow::default_memory_pool(), sink, group_rows, parquet::default_writer_properties(),
                                       types),
            table.path, "columns of types that parquet can hold");
    return require(sink->Finish(), table.path, "rows that fit in memory")->ToString();
  } catch (const parquet::ParquetException& error) {
    fail(Code::bad_input, table.path.string(), "a readable parquet file", quote(error.what(), 200));
  }
}

}  // namespace dept
