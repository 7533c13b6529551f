#include "cli/frame.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <new>

#include "dept/base/error.h"
#include "dept/base/file.h"
#include "dept/base/log.h"
#include "dept/base/progress.h"
#include "dept/base/text.h"

namespace dept {
namespace {

std::atomic<bool> finishes_on_interrupt{false};
std::atomic<bool> interrupt_seen{false};
std::function<void(const OptionSet&, const Usage&)> command_line_visitor;

void on_interrupt(int) {
  if (!finishes_on_interrupt || interrupt_seen.exchange(true)) ::_exit(interrupted_exit_code);
}

// stderr is for people: when it cannot be written the work goes on.
void write_stderr(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(STDERR_FILENO, bytes.data(), bytes.size());
    if (count <= 0) return;
    bytes.remove_prefix(static_cast<size_t>(count));
  }
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
  ::signal(SIGPIPE, SIG_IGN);
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGINT, &action, nullptr);
  const bool terminal = ::isatty(STDERR_FILENO) == 1;
  const char* no_color = std::getenv("NO_COLOR");
  log::to_stderr(terminal && (no_color == nullptr || *no_color == '\0'), terminal);
  Progress::set_sink(terminal ? draw_in_place : draw_seldom);
}

void finish_on_interrupt() {
  finishes_on_interrupt = true;
}
bool interrupted() {
  return interrupt_seen;
}

}  // namespace dept
