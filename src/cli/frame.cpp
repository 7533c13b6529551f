#include "cli/frame.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <new>

#include "dept/base/error.h"
#include "dept/base/file.h"
#include "dept/base/log.h"
#include "dept/base/progress.h"
#include "dept/base/text.h"
#include "dept/base/unfinished.h"

namespace dept {
namespace {

constexpr int first_of_signals = 128;  // a shell's exit code for a program that signal n ended is 128 + n
std::function<void(const OptionSet&, const Usage&)> command_line_visitor;

std::atomic<bool> finishes_on_interrupt{false};
std::atomic<bool> on_terminal{false};
std::atomic<int> signal_seen{0};
std::atomic<int64_t> signal_seen_at{0};

// stderr is for people: when it cannot be written the work goes on.
void write_stderr(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(STDERR_FILENO, bytes.data(), bytes.size());
    if (count <= 0) return;
    bytes.remove_prefix(static_cast<size_t>(count));
  }
}

std::string_view signal_name(int signal) {
  return signal == SIGTERM ? "SIGTERM" : signal == SIGHUP ? "SIGHUP" : "SIGINT";
}

int64_t now_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

// One end of a job often arrives as two signals: timeout(1) sends its own to the process and to the group, a closed terminal's
// SIGHUP comes from the kernel and from the shell. Nobody presses Ctrl-C for others.
bool repeats_the_first(int signal) {
  constexpr int64_t echo_ms = 200;
  return signal != SIGINT && now_ms() - signal_seen_at < echo_ms;
}

// Calls nothing that a signal handler may not.
void on_interrupt(int signal) {
  if (finishes_on_interrupt) {
    int64_t never = 0;
    signal_seen_at.compare_exchange_strong(never, now_ms());
    int none = 0;
    if (signal_seen.compare_exchange_strong(none, signal) || repeats_the_first(signal)) return;
  }
  remove_unfinished();
  const std::string_view in_place_of_progress = on_terminal ? "\r\x1b[K" : "";
  for (const std::string_view part :
       {in_place_of_progress, std::string_view("dept: interrupted ("), signal_name(signal), std::string_view(")\n")})
    write_stderr(part);
  ::_exit(first_of_signals + signal);
}

void catch_signal(int signal) {
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  action.sa_flags = SA_RESTART;
  ::sigaction(signal, &action, nullptr);
}

bool is_ignored(int signal) {
  struct sigaction now {};
  return ::sigaction(signal, nullptr, &now) == 0 && now.sa_handler == SIG_IGN;
}

size_t terminal_width() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

void draw_in_place(std::string_view line, bool last) {
  write_stderr(str("\r", line.substr(0, terminal_width() - 1), "\x1b[K", last ? "\n" : ""));
}

// In a log a line now and then is enough.
void draw_seldom(std::string_view line, bool last) {
  static auto drawn = std::chrono::steady_clock::now();
  const auto now = std::chrono::steady_clock::now();
  if (!last && now - drawn < std::chrono::seconds(30)) return;
  drawn = now;
  write_stderr(str(line, "\n"));
}

bool take(std::vector<std::string>& arguments, const std::vector<std::string>& names) {
  const auto end = std::find(arguments.begin(), arguments.end(), "--");
  const auto found = std::find_first_of(arguments.begin(), end, names.begin(), names.end());
  if (found == end) return false;
  arguments.erase(found);
  return true;
}

int report(std::string_view message, int code) {
  std::string line(message.substr(0, message.find("\nException raised from")));  // LibTorch's stack trace
  std::replace(line.begin(), line.end(), '\n', ' ');
  write_stderr(str("dept: ", line, "\n"));
  return code;
}

}  // namespace

void visit_command_lines(std::function<void(const OptionSet&, const Usage&)> visit) {
  command_line_visitor = std::move(visit);
}

std::optional<std::vector<std::string>> read_command_line(OptionSet& set, const std::vector<std::string>& given,
                                                          const Usage& usage) {
  Problems problems;
  auto positionals = read_command_line(set, given, usage, problems);
  problems.raise();
  return positionals;
}

std::optional<std::vector<std::string>> read_command_line(OptionSet& set, const std::vector<std::string>& given,
                                                          const Usage& usage, Problems& problems) {
  if (command_line_visitor) {
    command_line_visitor(set, usage);
    return std::nullopt;
  }
  std::vector<std::string> arguments = given;
  if (take(arguments, {"--help", "-h"})) {
    write_stdout(set.help(usage.text, usage.examples));
    return std::nullopt;
  }
  const bool dump = take(arguments, {"--dump_config", "--dump-config"});
  if (usage.recipe) set.lead({"config", "config_file", "config_path", "recipe", "yaml", "cfg"}, "a recipe stands without a flag");
  std::vector<std::string> positionals = set.parse_flags(arguments, problems);
  if (usage.recipe && !positionals.empty()) {
    set.parse_file(positionals.front(), problems);
    positionals.erase(positionals.begin());
  }
  if (positionals.size() > usage.positionals)
    problems.attempt(
        [&] { fail(Code::usage, "command line", "flags and their values alone", quote(positionals[usage.positionals])); });
  if (!problems.empty() && dump) problems.raise();
  if (problems.empty()) set.warn_of_idle_flags();
  if (!dump) return positionals;
  write_stdout(set.dump_yaml());
  return std::nullopt;
}

void write_stdout(std::string_view bytes) {
  write_all(STDOUT_FILENO, bytes, "stdout");
}

int run_guarded(const std::function<int()>& command) {
  try {
    return command();
  } catch (const Error& error) {
    return report(error.what(), error.exit_code());
  } catch (const std::bad_alloc&) {
    return report("[memory] expected enough of it, received none", static_cast<int>(Code::resource));
  } catch (const std::exception& error) {
    const std::string_view what = error.what();
    const bool memory = what.find("DefaultCPUAllocator") != std::string_view::npos;  // LibTorch's own bad_alloc
    return report(what, static_cast<int>(memory ? Code::resource : Code::bug));
  } catch (...) {
    return report("an unknown exception", static_cast<int>(Code::bug));
  }
}

void set_up_streams() {
  for (const int error_of_write : {SIGPIPE, SIGXFSZ}) ::signal(error_of_write, SIG_IGN);
  for (const int signal : {SIGINT, SIGTERM}) catch_signal(signal);
  if (!is_ignored(SIGHUP)) catch_signal(SIGHUP);  // nohup ignores it
  const bool terminal = on_terminal = ::isatty(STDERR_FILENO) == 1;
  const char* no_color = std::getenv("NO_COLOR");
  log::to_stderr(terminal && (no_color == nullptr || *no_color == '\0'), terminal);
  Progress::set_sink(terminal ? draw_in_place : draw_seldom);
}

void finish_on_interrupt() {
  finishes_on_interrupt = true;
}
bool interrupted() {
  return signal_seen != 0;
}
int interrupted_exit_code() {
  return first_of_signals + signal_seen;
}

}  // namespace dept
