#include "dept/sweep/sweep.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "cli/command.h"
#include "cli/frame.h"
#include "cli/ranks.h"
#include "dept/base/log.h"
#include "dept/base/progress.h"
#include "dept/base/text.h"

namespace dept {
namespace {

constexpr Usage sweep_usage{
    "Usage: dept sweep RECIPE.yaml|RECIPE.json [--flags]\n"
    "Trains the configurations that the recipe's key sweep lists or draws, and keeps the best (docs/sweep.md). The recipe's "
    "other\n"
    "keys are train's, and so are the flags, which win over them. The table of results goes to stdout.\n",
    true, 0,
    "  dept sweep configs/seeds.yaml --output_dir runs/seeds\n"
    "  dept sweep configs/glue.yaml --model_name_or_path t5-base\n"
    "  dept sweep configs/glue.yaml --ranks 4          # four processes, each with its share of the runs\n"
    "  dept train runs/seeds/best.yaml     # the best run once more\n"};

std::string padded(std::string text, size_t width, bool right = false) {
  if (text.size() > width) text = text.substr(0, width - 1) + "~";
  const std::string gap(width - text.size(), ' ');
  return right ? gap + text : text + gap;
}

// The table that takes the place of the one before; the cursor waits at its top, so that a line of the log pushes it down.
class LiveTable {
 public:
  void show(const SweepView& view) {
    const auto now = std::chrono::steady_clock::now();
    if (view.running == running_ && now - drawn_ < std::chrono::milliseconds(100)) return;
    drawn_ = now;
    running_ = view.running;
    write(rendered(view));
  }
  static void clear() { write("\x1b[J"); }

 private:
  static std::string rendered(const SweepView& view) {
    winsize size{};
    const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    const size_t width = known ? size.ws_col : 80, height = std::max<size_t>(known ? size.ws_row : 24, 6);
    const size_t shown = std::min(view.lines.size(), height - 4);
    const size_t first = std::min(view.running < shown / 2 ? 0 : view.running - shown / 2, view.lines.size() - shown);
    const size_t name = std::clamp<size_t>(width > 60 ? width - 60 : 10, 10, 40);
    std::vector<std::string> lines = {str(padded("configuration", name), "  ", padded("step", 13, true), "  ",
                                          padded("loss", 9, true), "  ",
                                          padded(view.metric.empty() ? "metric" : view.metric, 16, true), "  state")};
    for (size_t i = first; i < first + shown; ++i) {
      const SweepLine& line = view.lines[i];
      const std::string step = line.steps > 0 ? str(line.step, "/", line.steps) : str(line.step);
      lines.push_back(str(padded(line.name, name), "  ", padded(step, 13, true), "  ", padded(line.loss, 9, true), "  ",
                          padded(line.metric, 16, true), "  ", line.state));
    }
    const auto over = std::count_if(view.lines.begin(), view.lines.end(), [](const SweepLine& line) {
      return line.state != "running" && line.state != "waiting" && line.state != "paused";
    });
    lines.push_back(str(over, " of ", view.lines.size(), " ended",
                        view.seconds_left < 0 ? "" : str(", about ", format_duration(view.seconds_left), " left")));
    std::string out = "\r\x1b[J";
    for (const std::string& line : lines) out += line.substr(0, width - 1) + "\n";
    return out + str("\x1b[", lines.size(), "A");
  }

  // stderr is for people: when it cannot be written the work goes on.
  static void write(const std::string& bytes) {
    for (size_t done = 0; done < bytes.size();) {
      const ssize_t count = ::write(STDERR_FILENO, bytes.data() + done, bytes.size() - done);
      if (count <= 0) return;
      done += static_cast<size_t>(count);
    }
  }

  std::chrono::steady_clock::time_point drawn_;
  size_t running_ = std::string::npos;
};

int sweep(Sweep& sweep, const SweepOptions& options, RankGroup* group) {
  if (group != nullptr) set_sweep_threads(sweep, options.train.model.threads);
  configure_process(sweep_threads(sweep));
  const bool draws = is_first(group) && ::isatty(STDERR_FILENO) == 1 && !options.train.output.disable_tqdm;
  Progress::set_sink({});  // many runs, one table
  LiveTable table;
  SweepWatch watch;
  watch.interrupted = [] {
    finish_on_interrupt();
    return interrupted();
  };
  if (draws) watch.show = [&](const SweepView& view) { table.show(view); };
  const RunEnd end = run_sweep(sweep, watch, group);
  if (draws) LiveTable::clear();
  if (end == RunEnd::interrupted) {
    log::info("interrupted: the same command goes on");
    return interrupted_exit_code(group);
  }
  if (is_first(group)) write_stdout(read_file(sweep_folder(sweep) / "results.csv"));
  return 0;
}

}  // namespace

int run_sweep(const std::vector<std::string>& arguments) {
  SweepOptions options;
  OptionSet set;
  describe(options, set);
  Problems problems;
  if (!read_command_line(set, arguments, sweep_usage, problems)) return 0;
  const std::shared_ptr<Sweep> prepared = prepare_sweep(arguments, set, problems);
  problems.raise();
  return run_in_ranks(options.ranks, options.train.model, "sweep", arguments,
                      [&](RankGroup* group) { return sweep(*prepared, options, group); });
}

}  // namespace dept
