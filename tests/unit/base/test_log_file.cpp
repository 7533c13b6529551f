#include <gmock/gmock.h>

#include "dept/base/error.h"
#include "dept/base/log.h"
#include "dept/base/log_file.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

TEST(LogFile, OnlyTheOneInUseGetsLines) {
  const Scratch scratch;
  {
    const log::File one(scratch / "one"), two(scratch / "two");
    log::info("nobody's");
    const log::Using first(&one);
    log::info("a");
    {
      const log::Using second(&two);
      log::info("b");
      const log::Using none(nullptr);
      log::warn("c");
    }
    log::info("d");
  }
  log::info("nobody's either");
  const std::string one = read_file(scratch / "one"), two = read_file(scratch / "two");
  EXPECT_THAT(one, HasSubstr(" info a\n"));
  EXPECT_THAT(one, EndsWith(" info d\n"));
  EXPECT_THAT(two, HasSubstr(" info b\n"));
  EXPECT_THAT(two, EndsWith(" warning c\n"));
  for (const std::string& text : {one, two}) EXPECT_THAT(text, Not(HasSubstr("nobody")));
  EXPECT_THAT(one, Not(HasSubstr(" b\n")));
}

TEST(LogFile, IsAppendedTo) {
  const Scratch scratch;
  for (const char* line : {"first", "second"}) {
    const log::File file(scratch / "log");
    const log::Using lines(&file);
    log::info(line);
  }
  EXPECT_THAT(read_file(scratch / "log"), testing::ContainsRegex("first\n.*second\n"));
}

TEST(LogFile, APlaceThatCannotBeWrittenIsNamed) {
  const Scratch scratch;
  write_atomic(scratch / "file", "");
  EXPECT_THROW(log::File(scratch / "file" / "log"), Error);
}

}  // namespace
}  // namespace dept
