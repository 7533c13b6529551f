#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/data/table.h"

namespace dept {
namespace {

using Cells = std::vector<std::string>;
using ::testing::AllOf;
using ::testing::HasSubstr;

// Files of one test, gone with it.
class Tables : public ::testing::Test {
 protected:
  ~Tables() override { fs::remove_all(folder_); }

  fs::path file(const std::string& name, std::string_view bytes) {
    fs::create_directories(folder_);
    write_atomic(folder_ / name, bytes);
    return folder_ / name;
  }
  Table read(const std::string& name, std::string_view bytes) { return read_table(file(name, bytes)); }

  // The message without the folder; "" when nothing was thrown.
  std::string refusal(const std::string& name, std::string_view bytes) {
    try {
      read(name, bytes);
      return "";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::bad_input) << error.what();
      std::string what = error.what();
      EXPECT_LT(what.size(), 1000u);
      EXPECT_EQ(what.find('\n'), std::string::npos);
      const std::string prefix = folder_.string() + "/";
      const size_t at = what.find(prefix);
      return at == std::string::npos ? what : what.erase(at, prefix.size());
    }
  }

  fs::path folder_ = fs::temp_directory_path() / str("dept-table-", ::getpid());
};

TEST_F(Tables, CsvWithQuotes) {
  const Table table = read("a.csv", "text,label\n\"a, \"\"b\"\"\nc\",1\nplain,0");
  EXPECT_EQ(table.columns, (Cells{"text", "label"}));
  ASSERT_EQ(table.rows.size(), 2u);
  EXPECT_EQ(table.rows[0], (Cells{"a, \"b\"\nc", "1"}));
  EXPECT_EQ(table.rows[1], (Cells{"plain", "0"}));
  EXPECT_EQ(table.lines, (std::vector<int64_t>{2, 4}));
  EXPECT_THAT(table.where(1), ::testing::EndsWith("a.csv:4"));
  EXPECT_EQ(table.column("label"), 1u);
  EXPECT_TRUE(table.has("text"));
  EXPECT_FALSE(table.has("Text"));
}

TEST_F(Tables, BomCrlfEmptyCellsAndBlankLines) {
  const Table table = read("a.CSV", "\xEF\xBB\xBFx,\"y\",z\r\n\r\n,,\r\n\"\",\"a\r\nb\",\xC3\xA9\r\n\n\n1,2,\n");
  EXPECT_EQ(table.columns, (Cells{"x", "y", "z"}));
  ASSERT_EQ(table.rows.size(), 3u);
  EXPECT_EQ(table.rows[0], (Cells{"", "", ""}));
  EXPECT_EQ(table.rows[1], (Cells{"", "a\r\nb", "\xC3\xA9"}));
  EXPECT_EQ(table.rows[2], (Cells{"1", "2", ""}));
  EXPECT_EQ(table.lines, (std::vector<int64_t>{3, 4, 8}));
}

TEST_F(Tables, TsvKeepsCommasAndQuotes) {
  const fs::path path = file("a.tsv", "text\tlabel\n\"a\", b\t1\n");
  EXPECT_EQ(read_table(path).rows.at(0), (Cells{"\"a\", b", "1"}));
  EXPECT_EQ(read_table(file("b.tsv", "text\tlabel\na, b\t\"1\t2\"\n"), table_format("", "minimal")).rows.at(0),
            (Cells{"a, b", "1\t2"}));
}

TEST_F(Tables, ColumnsWithoutANameAtTheEnd) {
  const Table table = read("a.csv", "text,label,,\r\na,b,,\r\nc,d\r\n");
  EXPECT_EQ(table.columns, (Cells{"text", "label"}));
  EXPECT_EQ(table.rows, (std::vector<Cells>{{"a", "b"}, {"c", "d"}}));
  EXPECT_EQ(read("b.csv", "text,label\na,b,,\n").rows.at(0), (Cells{"a", "b"}));
  EXPECT_EQ(refusal("a.csv", "text,label,,\na,b,,c\n"), "[a.csv:2] expected 2 cells, as in the header, received 4");
  EXPECT_EQ(refusal("a.csv", "text,label,\na\n"), "[a.csv:2] expected 2 cells, as in the header, received 1");
  EXPECT_EQ(refusal("a.csv", "text\nHello,\n"), "[a.csv:2] expected 1 cells, as in the header, received 2");
  EXPECT_EQ(refusal("a.csv", ",,\na,b,\n"), "[a.csv:1] expected names of columns, received empty cells");
}

TEST_F(Tables, AWrongDelimiterIsNamed) {
  EXPECT_THAT(refusal("a.csv", "text;label\na, b;x\n"),
              HasSubstr("(--delimiter \";\" if that separates the columns of \"text;label\"), received 2"));
  EXPECT_THAT(read("b.csv", "text\tlabel\na\tx\n").delimiter_hint(), HasSubstr("--delimiter tab"));
  EXPECT_EQ(read("c.csv", "text\na\n").delimiter_hint(), "");
  EXPECT_EQ(read("d.jsonl", "{\"a;b\": 1}\n").delimiter_hint(), "");
}

TEST_F(Tables, FormatsAreStrict) {
  const auto usage = [](const std::string& delimiter) {
    try {
      table_format(delimiter, "");
      return std::string();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::usage);
      return std::string(error.what());
    }
  };
  for (const char* wrong : {";;", "\"", "\n", "\xC2\xA7", "TAB"}) EXPECT_THAT(usage(wrong), HasSubstr("[--delimiter]")) << wrong;
  EXPECT_EQ(usage(" "), "");
}

TEST_F(Tables, OpenQuotesNameTheirLine) {
  EXPECT_THAT(refusal("a.csv", "a,b\nx,\"open\n1,2\n3,\"4\"\n"),
              AllOf(HasSubstr("[a.csv:2] expected a delimiter or a line end after a closing quote (--quoting none"),
                    HasSubstr("after the quote that closes on line 4")));
  EXPECT_THAT(refusal("a.csv", "a,b\nx,\"open\n1,2\n"), HasSubstr("[a.csv:2] expected a closing quote"));
}

TEST_F(Tables, NullsAreKnown) {
  const Table table = read("a.jsonl", "{\"a\": null, \"b\": \"\"}\n{\"a\": \"x\", \"b\": [null]}\n");
  EXPECT_EQ(table.rows[0], (Cells{"", ""}));
  EXPECT_TRUE(table.is_null(0, 0));
  EXPECT_FALSE(table.is_null(0, 1));
  EXPECT_FALSE(table.is_null(1, 0));
  EXPECT_FALSE(table.is_null(1, 1));
}

TEST_F(Tables, SeveralFilesAreOneTable) {
  const std::vector<std::string> paths = {
      file("a.csv", "text,label\na,x\n").string(),
      file("b.jsonl", "{\"label\": null, \"text\": \"b\"}\n{\"label\": \"z\", \"text\": [1]}\n").string(),
      file("c.json", "[{\"text\": \"c\", \"label\": \"y\"}]").string()};
  const Table table = read_tables(paths);
  EXPECT_EQ(table.rows, (std::vector<Cells>{{"a", "x"}, {"b", ""}, {"[1]", "z"}, {"c", "y"}}));
  EXPECT_THAT(table.where(0), ::testing::EndsWith("a.csv:2"));
  EXPECT_THAT(table.where(2), ::testing::EndsWith("b.jsonl:2"));
  EXPECT_THAT(table.where(3), ::testing::EndsWith("c.json: row 1"));
  EXPECT_TRUE(table.is_null(1, 1));
  EXPECT_EQ(table.nested, (std::vector<size_t>{3, 0}));
  try {
    read_tables({paths[0], file("d.csv", "text,kind\na,x\n").string()});
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("d.csv] expected the columns of "), HasSubstr("a.csv, \"text\", \"label\""),
                                    HasSubstr("received columns \"text\", \"kind\"")));
  }
}

TEST_F(Tables, JsonKeepsValuesAsWritten) {
  const Table table = read("a.json", R"([{"a": "x\u00e9\n", "b": 1.50, "c": true, "d": null, "e": -7},
      {"e": 18446744073709551616, "d": "n", "c": false, "b": 1E3, "a": ""}])");
  EXPECT_EQ(table.columns, (Cells{"a", "b", "c", "d", "e"}));
  EXPECT_EQ(table.rows.at(0), (Cells{"x\xC3\xA9\n", "1.50", "true", "", "-7"}));
  EXPECT_EQ(table.rows.at(1), (Cells{"", "1E3", "false", "n", "18446744073709551616"}));
  EXPECT_THAT(table.where(1), ::testing::EndsWith("a.json: row 2"));
}

TEST_F(Tables, JsonUnderData) {
  const Table table = read("a.json", R"({"version": {"data": [1]}, "data": [{"a": "1"}, {"a": "2"}], "end": [[{}]]})");
  EXPECT_EQ(table.columns, (Cells{"a"}));
  EXPECT_EQ(table.rows, (std::vector<Cells>{{"1"}, {"2"}}));
}

TEST_F(Tables, JsonLines) {
  const Table table = read("a.jsonl", "\xEF\xBB\xBF{\"a\": \"1\", \"b\": 2}\r\n\n{\"b\": 3, \"a\": \"x\"}");
  EXPECT_EQ(table.rows, (std::vector<Cells>{{"1", "2"}, {"x", "3"}}));
  EXPECT_EQ(table.lines, (std::vector<int64_t>{1, 3}));
}

TEST_F(Tables, NestedCellsMatterOnlyWhenUsed) {
  const Table table =
      read("a.jsonl", "{\"a\": 1, \"b\": \"x\"}\n{\"a\": {\"k\": [1, 2.0, \"q\\\"\", {}, []], \"l\": null}, \"b\": \"y\"}\n");
  EXPECT_EQ(table.rows.at(1), (Cells{R"({"k":[1,2.0,"q\"",{},[]],"l":null})", "y"}));
  EXPECT_EQ(table.column("b"), 1u);
  try {
    table.column("a");
    ADD_FAILURE() << "a nested cell was taken for text";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("a.jsonl:2] expected text in column \"a\", received an object or array"));
  }
}

TEST_F(Tables, MissingColumnNamesThosePresent) {
  const Table table = read("a.csv", "sentence,label\na,b\n");
  try {
    table.column("text");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("expected a column \"text\", received columns \"sentence\", \"label\""));
  }
}

TEST_F(Tables, BadDelimitedFiles) {
  EXPECT_EQ(refusal("a.csv", ""), "[a.csv] expected a header line, received an empty file");
  EXPECT_EQ(refusal("a.csv", "\xEF\xBB\xBF\r\n\n"), "[a.csv] expected a header line, received an empty file");
  EXPECT_EQ(refusal("a.csv", "a,b\n"), "[a.csv] expected at least one row, received none");
  EXPECT_EQ(refusal("a.csv", "a,b\n1,2\n3\n"), "[a.csv:3] expected 2 cells, as in the header, received 1");
  EXPECT_EQ(refusal("a.csv", "a,b\n1,2,3\n"), "[a.csv:2] expected 2 cells, as in the header, received 3");
  EXPECT_EQ(refusal("a.csv", "a,b,a\n1,2,3\n"), "[a.csv:1] expected each column once, received \"a\" twice");
  EXPECT_THAT(refusal("a.csv", "a\n\"1\n2\"\nx\n\"open\n\n"), HasSubstr("[a.csv:5] expected a closing quote"));
  EXPECT_THAT(refusal("a.csv", "a\nx\nsome \"word\"\n"), HasSubstr("[a.csv:3] expected a cell with quotes in it to be quoted"));
  EXPECT_THAT(refusal("a.csv", "a\n\"x\"y\n"), HasSubstr("[a.csv:2] expected a delimiter or a line end after a closing quote"));
  EXPECT_THAT(refusal("a.csv", "a\nx\ry\n"), HasSubstr("[a.csv:2] expected lines that end in LF or CRLF, received a lone CR"));
  EXPECT_THAT(refusal("a.csv", "a\nx\n\xC3(\n"), HasSubstr("[a.csv:3] expected UTF-8 text"));
  EXPECT_THAT(refusal("a.csv", "a\n\"x\n\xFF\"\n"), HasSubstr("[a.csv:3] expected UTF-8 text"));
  EXPECT_THAT(refusal("a.csv", "\xFF\xFE\x61\n"), HasSubstr("[a.csv:1] expected"));
  EXPECT_THAT(refusal("a.csv", std::string_view("a\nx\0y\n", 6)),
              HasSubstr("[a.csv:2] expected UTF-8 text, received a NUL byte"));
  EXPECT_THAT(refusal("a.tsv", std::string_view("a\nx\n\"\0\"\n", 8)),
              HasSubstr("[a.tsv:3] expected UTF-8 text, received a NUL byte"));
  EXPECT_THAT(refusal("a.txt", "a\nx\n"), HasSubstr("expected a .csv, .tsv, .json, .jsonl or .parquet file, received \".txt\""));
}

TEST_F(Tables, BadJsonFiles) {
  EXPECT_THAT(refusal("a.json", ""), HasSubstr("[a.json:1] expected valid JSON"));
  EXPECT_EQ(refusal("a.json", "[]"), "[a.json] expected at least one row, received none");
  EXPECT_THAT(refusal("a.json", "{\"rows\": [{\"a\": 1}]}"), HasSubstr("expected an array of objects or {\"data\": [...]}"));
  EXPECT_THAT(refusal("a.json", "{\"data\": {\"data\": [{\"a\": 1}]}}"),
              HasSubstr("expected an array of objects or {\"data\": [...]}"));
  EXPECT_THAT(refusal("a.json", "{\"data\": [{\"a\": 1}], \"data\": []}"), HasSubstr("received it twice"));
  EXPECT_THAT(refusal("a.json", "7"), HasSubstr("expected an array of objects"));
  EXPECT_EQ(refusal("a.json", "[1]"), "[a.json: row 1] expected an object, received a plain value");
  EXPECT_EQ(refusal("a.json", "[{\"a\": 1}, [2]]"), "[a.json: row 2] expected an object, received an array");
  EXPECT_EQ(refusal("a.json", "[{\"a\": 1, \"a\": 2}]"), "[a.json: row 1] expected each column once, received \"a\" twice");
  EXPECT_EQ(refusal("a.json", "[{\"a\": 1}, {\"b\": 1}]"),
            "[a.json: row 2] expected the columns of the first row, received another one, \"b\"");
  EXPECT_EQ(refusal("a.json", "[{\"a\": 1, \"b\": 2}, {\"b\": 1}]"),
            "[a.json: row 2] expected the columns of the first row, received none \"a\"");
  EXPECT_EQ(refusal("a.json", "[{}]"), "[a.json: row 1] expected columns, received an empty object");
  EXPECT_THAT(refusal("a.json", "[{\"a\": 1},\n\n{\"a\" 1}]"),
              HasSubstr("[a.json:3] expected valid JSON, received syntax error"));
  EXPECT_THAT(refusal("a.json", "[{\"a\": 1},\n{\"a\": \"\xC3(\"}]"), HasSubstr("[a.json:2] expected UTF-8 text"));
  EXPECT_THAT(refusal("a.json", "[{\"a\": \"\\ud800\"}]"), HasSubstr("expected valid JSON"));
  EXPECT_THAT(refusal("a.json", "[{\"a\": 1}] trailing"), HasSubstr("expected valid JSON"));
  EXPECT_THAT(refusal("a.json", std::string_view("[{\"a\": 1}]\n\0{", 13)),
              HasSubstr("[a.json:2] expected UTF-8 text, received a NUL byte"));
  EXPECT_THAT(refusal("a.json", "[{\"a\": " + std::string(100000, '[')), HasSubstr("expected JSON nested at most 256 deep"));
  EXPECT_THAT(refusal("a.json", std::string(100000, '{')), HasSubstr("expected valid JSON"));
  EXPECT_THAT(refusal("a.json", std::string(100000, '[')), HasSubstr("expected an object"));
  EXPECT_THAT(refusal("a.json", "[{\"a\": \"" + std::string(100000, 'x')), HasSubstr("expected valid JSON"));

  EXPECT_EQ(refusal("a.jsonl", "\n\n"), "[a.jsonl] expected at least one row, received none");
  EXPECT_THAT(refusal("a.jsonl", "{\"a\": 1}\n\n{\"a\": 1\n"), HasSubstr("[a.jsonl:3] expected valid JSON"));
  EXPECT_THAT(refusal("a.jsonl", "{\"a\": 1}\n{\"a\": 1} {\"a\": 2}\n"), HasSubstr("[a.jsonl:2] expected valid JSON"));
  EXPECT_EQ(refusal("a.jsonl", "{\"a\": 1}\n[{\"a\": 1}]\n"), "[a.jsonl:2] expected an object, received an array");
  EXPECT_EQ(refusal("a.jsonl", "{\"a\": 1}\n\"x\"\n"), "[a.jsonl:2] expected an object, received a plain value");
}

TEST_F(Tables, LongCellsAndManyColumns) {
  const std::string cell(10 << 20, 'x');
  EXPECT_EQ(read("a.csv", "a,b\n\"" + cell + "\"," + cell + "\n").rows.at(0), (Cells{cell, cell}));
  EXPECT_EQ(read("a.jsonl", "{\"a\": \"" + cell + "\"}").rows.at(0), (Cells{cell}));
  std::string header;
  for (int i = 0; i < 1000000; ++i) header += str("c", i, ",");
  EXPECT_EQ(refusal("a.csv", header + "\n1\n"), "[a.csv:1] expected at most 16384 columns, received more");
  std::string object = "{";
  for (int i = 0; i < 20000; ++i) object += str(i == 0 ? "" : ",", "\"c", i, "\":1");
  EXPECT_EQ(refusal("a.jsonl", object + "}"), "[a.jsonl:1] expected at most 16384 columns, received more");
}

TEST_F(Tables, HeadReadsOneRow) {
  for (const auto& [name, bytes] :
       {std::pair{"a.csv", "a,b\n1,2\nragged\n"}, std::pair{"a.jsonl", "{\"a\": 1, \"b\": 2}\nbroken"},
        std::pair{"a.json", "[{\"a\": 1, \"b\": 2}, broken"}}) {
    const fs::path path = file(name, bytes);
    const Table head = read_table_head(path);
    EXPECT_EQ(head.columns, (Cells{"a", "b"}));
    EXPECT_EQ(head.rows, (std::vector<Cells>{{"1", "2"}}));
    EXPECT_THROW(read_table(path), Error);
  }
  EXPECT_THROW(read_table_head(file("b.csv", "a,b\n")), Error);
}

TEST_F(Tables, MissingFileIsAnIoError) {
  try {
    read_table(folder_ / "none.csv");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::io);
  }
}

}  // namespace
}  // namespace dept
