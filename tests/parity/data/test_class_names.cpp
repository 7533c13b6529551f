// Class labels in parquet files of the `datasets` library (tests/parity/make/class_names.py).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dept/base/json.h"
#include "dept/data/table.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

using Cells = std::vector<std::string>;
using ::testing::AllOf;
using ::testing::HasSubstr;

fs::path file(const std::string& name) {
  return fs::path(DEPT_TEST_DATA "/parity/data/data/classes") / name;
}
const TableFormat by_name{std::nullopt, std::nullopt, true};

std::string cell(const OrderedJson& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

TEST(ClassNames, EqualThoseOfDatasets) {
  const OrderedJson golden = OrderedJson::parse(read_file(file("golden.json")));
  const Table flat = read_table(file("labels.parquet"), by_name);
  EXPECT_EQ(flat.class_names.at(flat.column("label")), golden["names"].get<Cells>());
  ASSERT_EQ(flat.rows.size(), golden["flat"].size());
  for (size_t row = 0; row < flat.rows.size(); ++row)
    EXPECT_EQ(flat.rows[row], (Cells{cell(golden["flat"][row][0]), cell(golden["flat"][row][1])}));

  const Table nested = read_table(file("nested.parquet"), by_name);
  for (size_t row = 0; row < nested.rows.size(); ++row)
    for (size_t column = 0; column < nested.columns.size(); ++column)
      EXPECT_EQ(OrderedJson::parse(nested.rows[row][column]), golden["nested"][row][nested.columns[column]])
          << nested.columns[column];
}

TEST(ClassNames, AreNumbersUnlessAskedFor) {
  const Table table = read_table(file("labels.parquet"));
  EXPECT_EQ(table.rows[0], (Cells{"text 2", "2"}));
  EXPECT_TRUE(table.class_names.empty());
}

TEST(ClassNames, OfTwoFilesMustAgree) {
  const auto paths = [](const char* other) {
    return std::vector<std::string>{file("labels.parquet").string(), file(other).string()};
  };
  EXPECT_EQ(read_tables(paths("hidden.parquet"), by_name).rows.size(), 9u);
  EXPECT_THAT(error_of(Code::bad_input, [&] { read_tables(paths("others.parquet"), by_name); }),
              AllOf(HasSubstr("labels.parquet"), HasSubstr("others.parquet: label"), HasSubstr("angry, happy, sad")));
}

}  // namespace
}  // namespace dept
