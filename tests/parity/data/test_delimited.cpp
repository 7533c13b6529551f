// Delimited files as Python's csv module reads them, and gzip as Python writes it (tests/parity/make/delimited.py).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/readers.h"
#include "dept/base/json.h"
#include "unit/base/scratch.h"

namespace dept {
namespace test_delimited {

using Cells = std::vector<std::string>;
using ::testing::AllOf;
using ::testing::HasSubstr;

fs::path golden(const std::string& name) {
  return fs::path(DEPT_TEST_DATA "/parity/data/data/delimited") / name;
}

TEST(Delimited, RowsEqualPythonsCsv) {
  const Scratch scratch;
  for (const Json& one : read_json(golden("golden.json"))["cases"]) {
    const auto name = one["name"].get<std::string>();
    const fs::path path = scratch.write(name, one["text"].get<std::string>());
    const Table table = read_table(path, table_format(one["delimiter"].get<std::string>(), one["quoting"].get<std::string>()));
    EXPECT_EQ(table.columns, one["columns"].get<Cells>()) << name;
    EXPECT_EQ(table.rows, one["rows"].get<std::vector<Cells>>()) << name;
  }
}

TEST(Gzip, RowsOfEveryKind) {
  const auto rows = read_json(golden("golden.json"))["gzip"].get<std::vector<Cells>>();
  for (const char* name : {"rows.csv.gz", "rows.tsv.gz", "rows.jsonl.gz", "rows.json.gz", "members.csv.gz"}) {
    const Table table = read_table(golden(name));
    EXPECT_EQ(table.rows, rows) << name;
    EXPECT_THAT(table.where(1), HasSubstr(str(name, fs::path(name).stem().extension() == ".json" ? ": row 2" : ":"))) << name;
  }
}

TEST(Gzip, AFewBytesDoNotBecomeManyMegabytes) {
  const Scratch scratch;
  const MappedFile twice(golden("grows.csv.gz.gz"));
  const fs::path bomb = scratch.write("grows.csv.gz", inflate_gzip(twice.bytes(), twice.path()));
  EXPECT_THAT(error_of(Code::bad_input, [&] { read_table(bomb); }),
              AllOf(HasSubstr("grows.csv.gz"), HasSubstr("MB behind a gzip file")));
}

TEST(Gzip, CutAndChangedFilesAreRefused) {
  const Scratch scratch;
  const std::string bytes = read_file(golden("members.csv.gz"));
  const size_t second = bytes.find("\x1f\x8b\x08", 1);  // a whole member may end a file
  for (size_t size = 0; size < bytes.size(); size += 7) {
    if (size == second) continue;
    EXPECT_THAT(error_of(Code::bad_input, [&] { read_table(scratch.write("cut.csv.gz", bytes.substr(0, size))); }),
                HasSubstr("gzip file"));
  }
  for (size_t at = 0; at < bytes.size(); at += 5) {
    std::string changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ 0x55);
    try {
      read_table(scratch.write("changed.csv.gz", changed));  // a changed name or time stamp is no damage
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::bad_input);
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    }
  }
  EXPECT_THAT(error_of(Code::bad_input, [&] { read_table(scratch.write("no.csv.gz", "text,label\na,b\n")); }),
              HasSubstr("a gzip file"));
  EXPECT_THAT(error_of(Code::bad_input, [&] { read_table(scratch.write("tail.csv.gz", bytes + "tail")); }),
              HasSubstr("a gzip file"));
  EXPECT_THAT(error_of(Code::bad_input, [&] { read_table(scratch.write("p.parquet.gz", bytes)); }),
              HasSubstr("parquet file without .gz"));
}

}  // namespace test_delimited
}  // namespace dept
