// A user's own rows in every format, as Python's csv and json and pyarrow write them (tests/parity/make/own_files.py).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dept/base/error.h"
#include "dept/base/json.h"
#include "dept/base/text.h"
#include "dept/tasks/task.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

using ::testing::HasSubstr;

fs::path own(const std::string& name) {
  return fs::path(DEPT_TEST_DATA "/parity/data/tasks/own") / name;
}

FileTaskOptions training_on(const fs::path& file) {
  FileTaskOptions options;
  options.train_file = {file.string()};
  if (file.extension() == ".tsv") options.quoting = "minimal";  // as Python's csv module wrote it
  options.labels = {"no", "yes"};
  return options;
}

TEST(OwnFiles, TheSameRowsFromEveryFormat) {
  const auto rows = read_json(own("good.expected.json")).get<std::vector<std::vector<std::string>>>();
  for (const char* extension : {"csv", "tsv", "json", "jsonl", "parquet"}) {
    const TaskData task = load_file_task(training_on(own(str("good.", extension))));
    ASSERT_EQ(task.train.size(), rows.size()) << extension;
    for (size_t i = 0; i < rows.size(); ++i) {
      EXPECT_EQ(task.train[i].source, rows[i][0]) << extension;
      EXPECT_EQ(task.train[i].target, rows[i][1]) << extension;
      EXPECT_EQ(task.train[i].index, static_cast<int64_t>(i));
    }
  }
}

// The fourth row stands on the sixth line of csv and tsv: header, and a row of two lines before it.
TEST(OwnFiles, ABadRowIsNamedInEveryFormat) {
  const std::pair<const char*, const char*> places[] = {
      {"csv", "csv:6]"}, {"tsv", "tsv:6]"}, {"json", "json: row 4]"}, {"jsonl", "jsonl:4]"}, {"parquet", "parquet: row 4]"}};
  for (const auto& [extension, place] : places) {
    const auto refusal = [&, extension = extension](const char* name) {
      return error_of(Code::bad_input, [&] { load_file_task(training_on(own(str(name, ".", extension)))); });
    };
    EXPECT_THAT(refusal("unknown"), HasSubstr(place));
    EXPECT_THAT(refusal("unknown"), HasSubstr("expected a label of no, yes, received \"maybe\""));
    EXPECT_THAT(refusal("empty"), HasSubstr(place));
  }
}

TEST(OwnFiles, CellsOfTenMegabytes) {
  const TaskData task = load_file_task(training_on(own("long.parquet")));
  EXPECT_EQ(task.train[0].source.size(), 11000000u);
  const Scratch scratch;
  const std::string& cell = task.train[0].source;
  for (const auto& [name, bytes] : {std::pair<const char*, std::string>{"a.csv", str("text,label\n\"", cell, "\",yes\n")},
                                    {"a.tsv", str("text\tlabel\n", cell, "\tyes\n")},
                                    {"a.json", str("[{\"text\": \"", cell, "\", \"label\": \"yes\"}]")},
                                    {"a.jsonl", str("{\"text\": \"", cell, "\", \"label\": \"yes\"}\n")}}) {
    const TaskData own_task = load_file_task(training_on(scratch.write(name, bytes)));
    ASSERT_EQ(own_task.train.size(), 1u);
    EXPECT_TRUE(own_task.train[0].source == cell) << name;
  }
}

}  // namespace
}  // namespace dept
