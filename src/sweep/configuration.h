// The options of one run of a sweep.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "dept/base/options.h"
#include "dept/sweep/sweep.h"
#include "sweep/plan.h"

namespace dept {

struct SweepCommand {
  std::vector<std::string> arguments;  ///< behind "sweep"
  fs::path recipe;

  /// As it was typed.
  std::string line() const;
};

/// What a command and its recipe come to. The set points into the options.
struct Configuration {
  SweepOptions options;
  OptionSet set;

  Configuration() = default;
  Configuration(const Configuration&) = delete;
  Configuration& operator=(const Configuration&) = delete;
  TrainOptions& train() { return options.train; }
  const TrainOptions& train() const { return options.train; }
};

/// The recipe's own options, not settled.
std::unique_ptr<Configuration> base_configuration(const SweepCommand& command, Problems& problems);

/// With the run's values of the axes, in OUT/runs/NAME; settled. It trains and evaluates, and with `predicts` tries the test
/// data.
std::unique_ptr<Configuration> run_configuration(const SweepCommand& command, const SweepSpec& spec, const PlannedRun& run,
                                                 bool predicts, Problems& problems);

/// The recipe of one run: what command and recipe give and the run's values, as `dept train` reads it.
std::string run_recipe(const SweepCommand& command, const SweepSpec& spec, const PlannedRun& run, const fs::path& output_dir);

}  // namespace dept
