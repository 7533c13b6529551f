// csv and tsv byte for byte as Python's csv module writes them; parquet as Arrow's own reader has it back.
#include <gtest/gtest.h>

#include "dept/base/json.h"
#include "dept/data/table_writer.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

const fs::path data = fs::path(DEPT_TEST_DATA) / "parity/data/data";

Table hostile_rows(const Json& json) {
  Table table;
  table.path = "rows.json";
  table.columns = json["columns"].get<std::vector<std::string>>();
  table.rows = json["rows"].get<std::vector<std::vector<std::string>>>();
  return table;
}

constexpr TableFormat quoted{std::nullopt, true, false};

TEST(TableWriter, WritesWhatPythonsCsvModuleWrites) {
  const Scratch scratch;
  const Json json = read_json(data / "written.json");
  const std::vector<AddedColumn> added = {{"prediction", json["prediction"].get<std::vector<std::string>>()}};
  for (const std::string name : {"csv", "tsv"}) {
    write_table(scratch / ("out." + name), hostile_rows(json), added, quoted);
    EXPECT_EQ(read_file(scratch / ("out." + name)), read_file(data / ("written." + name)));
    EXPECT_EQ(read_table(scratch / ("out." + name), quoted).rows[3][3], json["rows"][3][3]);
  }
}

TEST(TableWriter, ATsvHasNoQuotesUnlessAskedFor) {
  const Scratch scratch;
  Table table;
  table.columns = {"text", "a, b"};
  table.rows = {{"\"quoted\"", ""}, {"5\" disk", "x"}};
  write_table(scratch / "out.tsv", table, {});
  EXPECT_EQ(read_file(scratch / "out.tsv"), "text\ta, b\n\"quoted\"\t\n5\" disk\tx\n");
  EXPECT_EQ(read_table(scratch / "out.tsv").rows, table.rows);
  write_table(scratch / "out.csv", table, {}, {';', std::nullopt, false});
  EXPECT_EQ(read_file(scratch / "out.csv"), "text;a, b\n\"\"\"quoted\"\"\";\n\"5\"\" disk\";x\n");
  for (const char* cell : {"a\tb", "a\nb", "a\rb"}) {
    table.rows[1][0] = cell;
    EXPECT_NE(error_of(Code::bad_input, [&] { write_table(scratch / "none.tsv", table, {}); }).find("--quoting minimal"),
              std::string::npos);
    EXPECT_FALSE(fs::exists(scratch / "none.tsv"));
  }
}

TEST(TableWriter, NumbersReadBackExactly) {
  const Scratch scratch;
  const Json json = read_json(data / "written.json");
  const auto scores = json["score"].get<std::vector<double>>();
  const std::vector<AddedColumn> added = {{"score", scores}};
  for (const std::string name : {"out.csv", "out.parquet"}) {
    write_table(scratch / name, hostile_rows(json), added);
    const Table back = read_table(scratch / name);
    ASSERT_EQ(back.rows.size(), scores.size());
    for (size_t i = 0; i < scores.size(); ++i) EXPECT_EQ(std::strtod(back.rows[i].back().c_str(), nullptr), scores[i]) << name;
  }
}

TEST(TableWriter, ParquetKeepsTheColumnsOfParquet) {
  const Scratch scratch;
  for (const char* name : {"plain.parquet", "nested.parquet", "many.parquet"}) {
    const Table table = read_table(data / name);
    const std::vector<AddedColumn> added = {{"prediction", std::vector<std::string>(table.rows.size(), "yes")},
                                            {"score_yes", std::vector<double>(table.rows.size(), 0.25)}};
    write_table(scratch / name, table, added);
    Table back = read_table(scratch / name);
    EXPECT_EQ(back.nested, [&] {
      auto nested = table.nested;
      nested.resize(nested.size() + 2, 0);
      return nested;
    }()) << "types are kept: objects and arrays stay what they are";
    for (size_t row = 0; row < table.rows.size(); ++row) {
      EXPECT_EQ(back.rows[row].back(), "0.25");
      back.rows[row].resize(table.columns.size());
      EXPECT_EQ(back.rows[row], table.rows[row]);
    }
  }
}

TEST(TableWriter, OtherRowsBecomeStringsInParquet) {
  const Scratch scratch;
  const Json json = read_json(data / "written.json");
  write_table(scratch / "out.parquet", hostile_rows(json), {});
  EXPECT_EQ(read_table(scratch / "out.parquet").rows, hostile_rows(json).rows);
}

TEST(TableWriter, RefusesWhatItCannotDo) {
  const Scratch scratch;
  const Table table = hostile_rows(read_json(data / "written.json"));
  EXPECT_NE(error_of(Code::bad_input, [&] { require_new_columns(table, {"label"}); }).find("no column \"label\""),
            std::string::npos);
  require_new_columns(table, {"prediction"});
  error_of(Code::usage, [&] { write_table(scratch / "out.txt", table, {}); });
  EXPECT_TRUE(is_table_name("A.CSV"));
  EXPECT_FALSE(is_table_name("a.jsonl"));
}

}  // namespace
}  // namespace dept
