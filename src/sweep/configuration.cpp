#include "sweep/configuration.h"

#include <algorithm>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/report/report.h"

namespace dept {
namespace {

std::string where_of(const SweepCommand& command, const Axis& axis) {
  return str(command.recipe.string(), ": sweep.parameters.", axis.option);
}

// Not the run's: ranks share a sweep's runs, and would share the batches of one that is trained by itself.
bool is_of_sweep(const std::string& option) {
  return option == "do_predict_all" || option == "overwrite_output_dir" || option == "ranks" || option == "rank_timeout";
}

void assign_axes(Configuration& made, const SweepCommand& command, const SweepSpec& spec, const PlannedRun& run,
                 Problems& problems) {
  Problems known;
  for (const std::string& option : spec.unsound) made.set.assign(option, {}, "", false, known);  // given, for settle
  for (size_t i = 0; i < spec.axes.size(); ++i)
    made.set.assign(spec.axes[i].option, run.values[i], where_of(command, spec.axes[i]), true, problems);
}

}  // namespace

void describe(SweepOptions& o, OptionSet& set) {
  describe(o.train, set);
  set.section("Sweep");
  set.add("do_predict_all", o.do_predict_all, "evaluate every finished run on the test data, not each task's best alone");
  describe(o.ranks, set);
  set.set_aside("sweep");
}

std::unique_ptr<Configuration> base_configuration(const SweepCommand& command, Problems& problems) {
  auto made = std::make_unique<Configuration>();
  describe(made->options, made->set);
  made->set.parse_flags(command.arguments, problems);
  made->set.parse_file(command.recipe, problems);
  return made;
}

std::string SweepCommand::line() const {
  return "dept sweep " + shell_line(arguments);
}

std::unique_ptr<Configuration> run_configuration(const SweepCommand& command, const SweepSpec& spec, const PlannedRun& run,
                                                 bool predicts, Problems& problems) {
  std::unique_ptr<Configuration> made = base_configuration(command, problems);
  assign_axes(*made, command, spec, run, problems);
  OutputOptions& output = made->train().output;
  output.do_train = output.do_eval = true;
  output.do_predict = predicts;
  output.overwrite_output_dir = false;  // the sweep's own
  output.command = command.line();
  if (!output.output_dir.empty()) output.output_dir = (fs::path(output.output_dir) / "runs" / run.name).string();
  if (!output.logging_dir.empty()) output.logging_dir = (fs::path(output.logging_dir) / run.name).string();
  problems.attempt([&] { settle(made->train(), made->set); });
  return made;
}

std::string run_recipe(const SweepCommand& command, const SweepSpec& spec, const PlannedRun& run, const fs::path& output_dir) {
  Problems problems;
  const std::unique_ptr<Configuration> made = base_configuration(command, problems);
  assign_axes(*made, command, spec, run, problems);
  problems.raise();
  OutputOptions& output = made->train().output;
  output.do_train = output.do_eval = true;
  output.do_predict = output.do_predict || made->options.do_predict_all;
  output.output_dir = output_dir.string();
  std::string recipe;
  for (const Option& option : made->set.options()) {
    const bool set_here = option.name == "do_train" || option.name == "do_eval" || option.name == "do_predict";
    if ((option.given || set_here) && !is_of_sweep(option.name)) recipe += str(option.name, ": ", option_text(option), "\n");
  }
  return recipe;
}

}  // namespace dept
