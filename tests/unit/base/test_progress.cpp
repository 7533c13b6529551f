#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dept/base/log.h"
#include "dept/base/progress.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

using testing::HasSubstr;

// What is drawn, under a clock that moves only when it is told to.
struct Drawn {
  std::vector<std::string> lines;
  int ended = 0;
  std::chrono::steady_clock::time_point time{};
  Drawn() {
    Progress::set_sink([this](std::string_view line, bool last) {
      lines.emplace_back(line);
      ended += last;
    });
    Progress::set_clock([this] { return time; });
  }
  ~Drawn() {
    Progress::set_sink(nullptr);
    Progress::set_clock(nullptr);
  }
};

TEST(Progress, DrawsCountShareRateTimeAndNote) {
  Drawn drawn;
  {
    Progress progress("train", 200, 50);
    drawn.time += std::chrono::seconds(25);
    progress.advance(50, "loss 0.5");
  }
  ASSERT_EQ(drawn.lines.size(), 2u);
  EXPECT_EQ(drawn.ended, 1);
  EXPECT_THAT(drawn.lines[0], HasSubstr("train 100/200 [==========          ] 50%"));
  EXPECT_THAT(drawn.lines[0], HasSubstr("2.0/s  0:50 left  loss 0.5"));
}

TEST(Progress, DrawsSeldomAndEndsWithTheFullCount) {
  Drawn drawn;
  {
    Progress progress("rows", 100000);
    for (int i = 0; i < 100000; ++i) {
      drawn.time += std::chrono::microseconds(10);  // a second in all
      progress.advance();
    }
  }
  EXPECT_EQ(drawn.lines.size(), 11u) << "every tenth of a second, and at the end";
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
    drawn.time += std::chrono::seconds(2);
    progress.advance(1000000);
    progress.advance(-750000);
  }
  EXPECT_THAT(drawn.lines[0], HasSubstr("model 1.5 MB/2.5 MB [============        ] 60%"));
  EXPECT_THAT(drawn.lines[0], HasSubstr("500.0 kB/s  0:02 left"));
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
