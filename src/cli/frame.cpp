#include "cli/frame.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <new>
#include <thread>

#include "dept/base/error.h"
#include "dept/base/file.h"
#include "dept/base/json.h"
#include "dept/base/log.h"
#include "dept/base/log_lines.h"
#include "dept/base/progress.h"
#include "dept/base/text.h"
#include "dept/base/unfinished.h"

namespace dept {
namespace {

constexpr int first_of_signals = 128;  // a shell's exit code for a program that signal n ended is 128 + n
std::function<void(const OptionSet&, const Usage&)> command_line_visitor;

std::atomic<bool> finishes_on_interrupt{false};
std::atomic<bool> tells_other_ranks{false};
std::array<char, 32> line_start{"dept: "};  // of errors
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
// SIGHUP comes from the kernel and from the shell. Nobody presses Ctrl-C for others, but a terminal sends it to all ranks, and so
// does the process that started them.
bool repeats_the_first(int signal) {
  constexpr int64_t echo_ms = 200;
  return (signal != SIGINT || tells_other_ranks) && now_ms() - signal_seen_at < echo_ms;
}

// Calls nothing that a signal handler may not.
[[noreturn]] void end_interrupted(int signal) {
  remove_unfinished();
  const std::string_view in_place_of_progress = on_terminal ? "\r\x1b[K" : "";
  for (const std::string_view part : {in_place_of_progress, std::string_view(line_start.data()),
                                      std::string_view("interrupted ("), signal_name(signal), std::string_view(")\n")})
    write_stderr(part);
  ::_exit(first_of_signals + signal);
}

// Whether it is the first signal, or another's echo.
bool note_signal(int signal) {
  int64_t never = 0;
  signal_seen_at.compare_exchange_strong(never, now_ms());
  int none = 0;
  return signal_seen.compare_exchange_strong(none, signal) || repeats_the_first(signal);
}

void on_interrupt(int signal) {
  if ((finishes_on_interrupt || tells_other_ranks) && note_signal(signal)) return;
  end_interrupted(signal);
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

// The file from which torchrun takes what it says of a process that failed.
void tell_torchrun(const std::string& line) {
  const char* file = std::getenv("TORCHELASTIC_ERROR_FILE");
  if (file == nullptr || *file == '\0') return;
  const OrderedJson told = {
      {"message", {{"message", line}, {"extraInfo", {{"py_callstack", line}, {"timestamp", str(std::time(nullptr))}}}}}};
  try {
    write_atomic(file, told.dump(-1, ' ', false, OrderedJson::error_handler_t::replace) + "\n");
  } catch (const Error&) {  // the line is on stderr
  }
}

// Of several threads that come to an end one speaks; the process is over before the others come back from here.
void speak_last() {
  static std::atomic<bool> spoken{false};
  if (tells_other_ranks && spoken.exchange(true)) std::this_thread::sleep_for(std::chrono::seconds(10));
}

int report(std::string_view message, int code) {
  speak_last();
  std::string line(message.substr(0, message.find("\nException raised from")));  // LibTorch's stack trace
  std::replace(line.begin(), line.end(), '\n', ' ');
  line.insert(0, line_start.data());
  write_stderr(line + "\n");
  tell_torchrun(line);
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

void speak_as_rank(int64_t rank) {
  if (rank == 0) return;
  const std::string start = str("dept: rank ", rank, ": ");
  start.copy(line_start.data(), line_start.size() - 1);
  log::only_warnings(start);
  Progress::set_sink({});
}
void tell_other_ranks(bool tells) {
  tells_other_ranks = tells;
}

int signal_received() {
  return signal_seen;
}
void interrupt_with_ranks(int signal) {
  note_signal(signal);
  if (!finishes_on_interrupt) end_interrupted(signal);
}

void end_with(const Error& error) {
  remove_unfinished();
  ::_exit(report(error.what(), error.exit_code()));
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
