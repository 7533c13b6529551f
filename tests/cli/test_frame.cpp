#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>

#include "cli/frame.h"
#include "cli/program.h"
#include "dept/base/json.h"
#include "dept/base/text.h"

namespace dept {
namespace {

using testing::HasSubstr;

TEST(Program, HelpAndVersionGoToStdout) {
  const Outcome help = run_dept({"--help"});
  EXPECT_EQ(help.code, 0);
  EXPECT_THAT(help.out, HasSubstr("dept doctor"));
  EXPECT_EQ(help.err, "");
  EXPECT_EQ(run_dept({"--version"}).out.rfind("dept 0.", 0), 0u);
  EXPECT_THAT(run_dept({"doctor", "--help"}).out, HasSubstr("--threads INTEGER"));
}

TEST(Program, UsageErrorsAreOneLineAndCode2) {
  EXPECT_THAT(expect_one_line(run_dept({}), 2), HasSubstr("received none"));
  EXPECT_THAT(expect_one_line(run_dept({"docter"}), 2), HasSubstr("the nearest is doctor"));
  EXPECT_THAT(expect_one_line(run_dept({"doctor", "--jsn"}), 2), HasSubstr("the nearest is --json"));
  EXPECT_THAT(expect_one_line(run_dept({"doctor", "--threads", "0"}), 2),
              HasSubstr("[--threads] expected an integer from 1 to 1024"));
  EXPECT_THAT(expect_one_line(run_dept({"doctor", "odd"}), 2), HasSubstr("received \"odd\""));
}

TEST(Program, DoctorReportsAsTableAndJson) {
  const Json found = parse_json(run_dept({"doctor", "--json", "--threads", "1"}).out, "doctor");
  EXPECT_GT(require<double>(found, "gemm_fp32_gflops", "doctor"), 0);
  EXPECT_GT(require<double>(found, "memory_gb", "doctor"), 0);
  EXPECT_GE(require<int64_t>(found, "gpus", "doctor"), 0);
  EXPECT_EQ(require<int64_t>(found, "threads", "doctor"), 1);
  EXPECT_TRUE(found["problems"].is_array());
  EXPECT_GE(require<int64_t>(found, "cores", "doctor"), 1);
  EXPECT_TRUE(found["cpu_quota"].is_null() || found["cpu_quota"] > 0);
  EXPECT_THAT(run_dept({"doctor", "--threads", "1"}).out, HasSubstr("1 used; physical cores by affinity: "));
}

TEST(Program, DumpsItsConfiguration) {
  const Outcome dump = run_dept({"doctor", "--threads", "3", "--dump_config"});
  EXPECT_EQ(dump.code, 0);
  EXPECT_EQ(dump.out, "json: false\nthreads: 3\n");
}

TEST(Program, FullDiskOrClosedPipeIsCode4) {
  const Outcome full = Child({"--help"}, "", "/dev/full").wait();
  EXPECT_EQ(full.code, 4);
  EXPECT_THAT(full.err, HasSubstr("dept: [stdout] expected room to write, received No space left on device\n"));
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  const Outcome closed = Child({"--help"}, "", str("/proc/self/fd/", ends[1])).wait();
  ::close(ends[1]);
  EXPECT_EQ(closed.code, 4) << closed.err;
}

// Whether a process has a handler for a signal.
bool catches(pid_t pid, int signal) {
  std::ifstream status(str("/proc/", pid, "/status"));
  uint64_t caught = 0;
  for (std::string line; std::getline(status, line);)
    if (line.rfind("SigCgt:", 0) == 0) caught = std::stoull(line.substr(7), nullptr, 16);
  return (caught >> (signal - 1) & 1) != 0;
}

TEST(Program, ASignalEndsItInOneLine) {
  ::signal(SIGHUP, SIG_DFL);  // which nohup would have ignored
  for (const auto& [signal, name] : {std::pair{SIGINT, "SIGINT"}, {SIGTERM, "SIGTERM"}, {SIGHUP, "SIGHUP"}}) {
    Child child({"doctor"});
    for (int waited = 0; waited < 20000 && !catches(child.pid(), signal); ++waited) ::usleep(1000);
    ::kill(child.pid(), signal);
    const Outcome outcome = child.wait();
    EXPECT_EQ(outcome.code, 128 + signal);
    EXPECT_EQ(outcome.err, str("dept: interrupted (", name, ")\n"));
  }
}

TEST(Frame, OneLinePerException) {
  const auto caught = [](auto call) {
    testing::internal::CaptureStderr();
    const int code = run_guarded(call);
    return str(code, " ", testing::internal::GetCapturedStderr());
  };
  EXPECT_EQ(caught([]() -> int { fail(Code::bad_input, "a", "b", "c"); }), "3 dept: [a] expected b, received c\n");
  EXPECT_EQ(caught([]() -> int { throw std::bad_alloc(); }), "5 dept: [memory] expected enough of it, received none\n");
  EXPECT_EQ(caught([]() -> int { throw std::runtime_error("shape\nException raised from x\nframe 1"); }), "1 dept: shape\n");
  EXPECT_EQ(caught([]() -> int { throw std::runtime_error("two\nlines"); }), "1 dept: two lines\n");
  EXPECT_EQ(caught([]() -> int { throw 1; }), "1 dept: an unknown exception\n");
  EXPECT_EQ(caught([] { return 7; }), "7 ");
}

TEST(Frame, RecipeIsThePositionalFileAndFlagsWin) {
  const Scratch scratch;
  int64_t steps = 1;
  std::string name = "a";
  OptionSet set;
  set.add("steps", steps, "");
  set.add("name", name, "");
  const std::string recipe = scratch.write("r.yaml", "steps: 5\nname: b\n").string();
  const auto rest = read_command_line(set, {"--name", "c", recipe, "more"}, {"", true, 1});
  ASSERT_TRUE(rest.has_value());
  EXPECT_THAT(*rest, testing::ElementsAre("more"));
  EXPECT_EQ(steps, 5);
  EXPECT_EQ(name, "c");
  error_of(Code::usage, [&] { read_command_line(set, {recipe, "more"}, {"", true, 0}); });
  error_of(Code::io, [&] { read_command_line(set, {(scratch / "none.yaml").string()}, {"", true, 0}); });
}

TEST(Frame, FirstInterruptOnlySetsTheFlagOnceArmed) {
  set_up_streams();
  finish_on_interrupt();
  EXPECT_FALSE(interrupted());
  ::raise(SIGINT);
  EXPECT_TRUE(interrupted());
  EXPECT_EXIT(::raise(SIGINT), testing::ExitedWithCode(130), "");
}

}  // namespace
}  // namespace dept
