#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/lines.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

using testing::HasSubstr;

TEST(LineReader, SplitsLinesOfAnyLength) {
  const Scratch scratch;
  const std::string big(200'000, 'x');
  LineReader reader(scratch.write("a", "one\r\n\n" + big + "\nlast").string());
  EXPECT_EQ(reader.next(), "one");
  EXPECT_EQ(reader.next(), "");
  EXPECT_EQ(reader.next(), big);
  EXPECT_EQ(reader.next(), "last");
  EXPECT_EQ(reader.where(), (scratch / "a").string() + ": line 4");
  EXPECT_EQ(reader.next(), std::nullopt);
  EXPECT_EQ(reader.next(), std::nullopt);
}

TEST(LineReader, ErrorsNameFileAndLine) {
  const Scratch scratch;
  LineReader reader(scratch.write("a", "[1]\n{\"a\": }\n\"\xff\"\n\n").string());
  EXPECT_EQ(reader.next_json(), Json::array({1}));
  EXPECT_THAT(error_of(Code::bad_input, [&] { reader.next_json(); }), HasSubstr("a: line 2] expected valid JSON"));
  EXPECT_THAT(error_of(Code::bad_input, [&] { reader.next(); }),
              HasSubstr("a: line 3] expected UTF-8, received a broken byte at 2"));
  EXPECT_THAT(error_of(Code::bad_input, [&] { reader.next_json(); }), HasSubstr("a: line 4]"));
  EXPECT_EQ(reader.next_json(), std::nullopt);
  error_of(Code::io, [&] { LineReader missing((scratch / "none").string()); });
  EXPECT_THAT(error_of(Code::io, [&] { LineReader(scratch.path().string()).next(); }), HasSubstr("directory"));
}

TEST(LineWriter, FileAppearsOnCommitOnly) {
  const Scratch scratch;
  { LineWriter(((scratch / "out").string())).write({{"b", 1}}); }
  EXPECT_TRUE(fs::is_empty(scratch.path()));
  LineWriter writer((scratch / "out").string());
  writer.write({{"b", 1}, {"a", "\u00e9\n"}});
  writer.write_text(std::string(100'000, 'x'));
  EXPECT_FALSE(fs::exists(scratch / "out"));
  writer.commit();
  EXPECT_EQ(read_file(scratch / "out"), "{\"b\":1,\"a\":\"\u00e9\\n\"}\n" + std::string(100'000, 'x') + "\n");
  error_of(Code::io, [&] { LineWriter below((scratch / "out" / "x").string()); });
}

}  // namespace
}  // namespace dept
