#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "dept/base/log.h"
#include "dept/base/progress.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

using testing::HasSubstr;

struct Drawn {
  std::vector<std::string> lines;
  int ended = 0;
  Drawn() {
    Progress::set_sink([this](std::string_view line, bool last) {
      lines.emplace_back(line);
      ended += last;
    });
  }
  ~Drawn() { Progress::set_sink(nullptr); }
};

TEST(Progress, DrawsCountShareRateTimeAndNote) {
  Drawn drawn;
  {
    Progress progress("train", 200, 50);
    std::this_thread::sleep_for(std::chrono::milliseconds(120));
    progress.advance(50, "loss 0.5");
  }
  ASSERT_EQ(drawn.lines.size(), 2u);
  EXPECT_EQ(drawn.ended, 1);
  EXPECT_THAT(drawn.lines[0], HasSubstr("train 100/200 [==========          ] 50%"));
  EXPECT_THAT(drawn.lines[0], HasSubstr("/s  0:00 left  loss 0.5"));
}

TEST(Progress, DrawsSeldomAndEndsWithTheFullCount) {
  Drawn drawn;
  {
    Progress progress("rows", 100000);
    for (int i = 0; i < 100000; ++i) progress.advance();
  }
  EXPECT_LT(drawn.lines.size(), 50u);
  EXPECT_THAT(drawn.lines.back(), HasSubstr("rows 100000/100000 [====================] 100%"));
}

TEST(Progress, IsSilentWithoutASink) {
  Progress progress("x", 2);
  progress.advance(5);
}

TEST(Progress, CountsBytesInTheirUnits) {
  Drawn drawn;
  {
    Progress progress("model", 2500000, 500000, ProgressUnit::bytes);
    std::this_thread::sleep_for(std::chrono::milliseconds(120));
    progress.advance(1000000);
    progress.advance(-750000);
  }
  EXPECT_THAT(drawn.lines[0], HasSubstr("model 1.5 MB/2.5 MB [============        ] 60%"));
  EXPECT_THAT(drawn.lines[0], HasSubstr("MB/s  0:00 left"));
  EXPECT_THAT(drawn.lines.back(), HasSubstr("model 750.0 kB/2.5 MB"));
  EXPECT_EQ(format_bytes(999), "999 B");
  EXPECT_EQ(format_bytes(999999), "1.0 MB");
  EXPECT_EQ(format_bytes(5e15), "5000.0 TB");
}

TEST(Progress, FormatsDurations) {
  EXPECT_EQ(format_duration(3725), "1:02:05");
  EXPECT_EQ(format_duration(65.4), "1:05");
  EXPECT_EQ(format_duration(-1), "0:00");
}

TEST(Log, WritesToAFileWithTimeStamps) {
  const Scratch scratch;
  log::to_file(scratch / "run.log");
  log::info("{} is not a format");
  log::warn("careful");
  log::close_file();
  log::info("unseen");
  const std::string text = read_file(scratch / "run.log");
  EXPECT_THAT(text, HasSubstr(" info {} is not a format\n"));
  EXPECT_THAT(text, HasSubstr(" warning careful\n"));
  EXPECT_EQ(text.find("unseen"), std::string::npos);
  error_of(Code::io, [&] { log::to_file(scratch / "run.log" / "below"); });
}

}  // namespace
}  // namespace dept
