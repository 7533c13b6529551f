// Runs the built program as a child: arguments and stdin in, exit code, stdout and stderr out.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "support/typed.h"
#include "unit/base/scratch.h"

namespace dept {

struct Outcome {
  int code = -1;  // 128 + signal for a program that a signal ended
  std::string out, err;
  int64_t peak_bytes = 0;
};

/// The program that a test runs keeps off the real hub, and off what its user has of it.
inline const bool keeps_off_the_hub =
    ::setenv("HF_HUB_OFFLINE", "1", 1) == 0 && ::setenv("HF_HUB_CACHE", "/nonexistent/hub", 1) == 0;

class Child {
 public:
  /// Starts `dept arguments...`; `out_path` takes its stdout when given.
  explicit Child(const std::vector<std::string>& arguments, std::string_view input = "", const std::string& out_path = "") {
    scratch_.write("in", input);
    const std::string out = out_path.empty() ? (scratch_ / "out").string() : out_path;
    pid_ = ::fork();
    if (pid_ != 0) return;
    std::vector<std::string> words{DEPT_PROGRAM};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    ::dup2(::open((scratch_ / "in").c_str(), O_RDONLY), STDIN_FILENO);
    ::dup2(::open(out.c_str(), O_WRONLY | O_CREAT, 0644), STDOUT_FILENO);
    ::dup2(::open((scratch_ / "err").c_str(), O_WRONLY | O_CREAT, 0644), STDERR_FILENO);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }

  pid_t pid() const { return pid_; }

  Outcome wait() {
    int status = 0;
    rusage usage{};
    ::wait4(pid_, &status, 0, &usage);
    Outcome outcome;
    outcome.peak_bytes = usage.ru_maxrss * 1024;
    outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (fs::exists(scratch_ / "out")) outcome.out = read_file(scratch_ / "out");
    outcome.err = read_file(scratch_ / "err");
    return outcome;
  }

 private:
  Scratch scratch_;
  pid_t pid_ = -1;
};

inline Outcome run_dept(const std::vector<std::string>& arguments, std::string_view input = "") {
  return Child(arguments, input).wait();
}

/// Checks that a run ended with `code`, nothing on stdout and one line "dept: [...] expected ..., received ..." on stderr.
inline std::string expect_one_line(const Outcome& outcome, int code) {
  EXPECT_EQ(outcome.code, code) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(outcome.err.rfind("dept: ", 0), 0u) << outcome.err;
  EXPECT_EQ(outcome.err.find('\n'), outcome.err.size() - 1) << outcome.err;
  EXPECT_NE(outcome.err.find(", received "), std::string::npos) << outcome.err;
  return outcome.err;
}

}  // namespace dept
