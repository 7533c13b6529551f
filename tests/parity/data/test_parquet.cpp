// Parquet files of pyarrow (tests/parity/make/parquet.py), and what hostile ones come to.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/readers.h"
#include "dept/base/json.h"
#include "unit/base/scratch.h"

namespace dept {
namespace test_parquet {

using Cells = std::vector<std::string>;
using ::testing::HasSubstr;

fs::path golden(const std::string& name) {
  return fs::path(DEPT_TEST_DATA "/parity/data/data") / name;
}

TEST(Parquet, CellsEqualPyarrows) {
  for (const char* name : {"plain", "nested"}) {
    const Table table = read_table(golden(str(name, ".parquet")));
    const Json expected = read_json(golden(str(name, ".json")));
    EXPECT_EQ(table.columns, expected["columns"].get<Cells>());
    EXPECT_EQ(table.rows, expected["rows"].get<std::vector<Cells>>()) << name;
    EXPECT_THAT(table.where(1), ::testing::EndsWith(".parquet: row 2"));
  }
}

TEST(Parquet, NestedColumnsAreNoText) {
  const Table table = read_table(golden("nested.parquet"));
  EXPECT_THAT(error_of(Code::bad_input, [&] { table.column("answers"); }),
              HasSubstr("row 1] expected text in column \"answers\""));
}

TEST(Parquet, RowGroupsAndPagesInOrder) {
  const Table table = read_table(golden("many.parquet"));
  ASSERT_EQ(table.rows.size(), 3000u);
  for (size_t i = 0; i < table.rows.size(); ++i) EXPECT_EQ(table.rows[i], (Cells{std::to_string(i), str("t", i % 7)}));
  EXPECT_EQ(read_table_head(golden("many.parquet")).rows.size(), 1u);
}

TEST(Parquet, AFewBytesDoNotBecomeManyRows) {
  EXPECT_THAT(error_of(Code::bad_input, [] { read_table(golden("growing.parquet")); }), HasSubstr("times the file's size"));
  EXPECT_EQ(read_table_head(golden("growing.parquet")).rows.size(), 1u);
}

// Reads it or says in one line why not.
std::string read_hostile(const std::string& bytes) {
  Table table;
  table.path = "input.parquet";
  try {
    read_parquet(table, std::as_bytes(std::span(bytes)), all_rows);
    for (const auto& row : table.rows) EXPECT_EQ(row.size(), table.columns.size());
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    return error.what();
  }
  return "";
}

TEST(Parquet, CutFilesAreRefused) {
  const std::string bytes = read_file(golden("nested.parquet"));
  for (size_t size = 0; size < bytes.size(); size += 13) {
    Scratch scratch;
    const fs::path path = scratch.write("cut.parquet", bytes.substr(0, size));
    EXPECT_THAT(error_of(Code::bad_input, [&] { read_table(path); }), HasSubstr("parquet file"));
  }
}

TEST(Parquet, ChangedBytesCrashNothing) {
  uint32_t state = 1;
  const auto next = [&] { return state = state * 1664525 + 1013904223; };
  for (const char* name : {"plain.parquet", "nested.parquet"}) {
    const std::string bytes = read_file(golden(name));
    for (int i = 0; i < 400; ++i) {
      std::string changed = bytes;
      for (uint32_t flips = 1 + next() % 4; flips > 0; --flips) {
        // half of them in the footer, which says where everything is
        const size_t from = next() % 2 == 0 ? 0 : changed.size() * 2 / 3;
        changed[from + (next() >> 8) % (changed.size() - from)] = static_cast<char>(next() >> 16);
      }
      read_hostile(changed);
    }
  }
}

// A footer in Thrift's compact form whose schema is one column inside so many groups.
std::string nested_schema(size_t depth) {
  const auto varint = [](uint64_t value) {
    std::string out;
    for (; value >= 0x80; value >>= 7) out += static_cast<char>((value & 0x7F) | 0x80);
    return out + static_cast<char>(value);
  };
  std::string footer = "\x15\x02\x19\xFC" + varint(depth + 1);  // version 1; a list of structs
  for (size_t i = 0; i < depth; ++i) footer += std::string("\x35\x02\x18\x01g\x15\x02", 7) + '\0';  // optional group "g" of one
  footer += std::string("\x15\x02\x25\x02\x18\x01x", 7) + '\0';                                     // optional int32 "x"
  footer += std::string("\x16\x00\x19\x0C\x00", 5);                                                 // no rows, no row groups
  std::string size(4, '\0');
  for (size_t i = 0; i < 4; ++i) size[i] = static_cast<char>(footer.size() >> (8 * i));
  return "PAR1" + footer + size + "PAR1";
}

TEST(Parquet, DeepSchemasAreRefused) {
  EXPECT_EQ(read_hostile(nested_schema(3)), "");
  EXPECT_THAT(read_hostile(nested_schema(200'000)), HasSubstr("deeply nested"));
}

}  // namespace test_parquet
}  // namespace dept
