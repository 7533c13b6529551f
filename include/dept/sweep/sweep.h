// `dept sweep` whole: a recipe with a `sweep` key becomes a list of training runs, which share the model and the data.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dept/dist/group.h"
#include "dept/dist/rank_options.h"
#include "dept/train/options.h"
#include "dept/train/run.h"

namespace dept {

/// Train's options, and what only a sweep has.
struct SweepOptions {
  TrainOptions train;
  bool do_predict_all = false;  ///< test data for every finished run, not for each task's best alone
  RankOptions ranks;
};
/// Also leaves a recipe's key `sweep` to prepare_sweep.
void describe(SweepOptions& options, OptionSet& set);

/// A line of what is shown while a sweep runs.
struct SweepLine {
  std::string name;
  std::string state;  ///< "", "running", "waiting", or how it ended
  int64_t step = 0, steps = 0;
  std::string loss, metric;
};

struct SweepView {
  std::string metric;            ///< the heading of the metric
  std::vector<SweepLine> lines;  ///< one a run
  size_t running = 0;
  double seconds_left = 0;  ///< of the whole; negative: not known yet
};

/// How a sweep is watched.
struct SweepWatch {
  Interrupt interrupted;
  std::function<void(const SweepView&)> show;  ///< draws the table; absent: a line a rung, or a run, is logged
};

/// A sweep that has been read and found sound.
class Sweep;

/// Reads flags and the recipe that `set` has been given, lists the runs and checks all that can be known before a model is
/// loaded: each mistake becomes a problem, and without any the runs' own checks are made too. Makes nothing on disk, and asks the
/// hub only when nothing else is wrong. `arguments` are the command's words behind "sweep". Null with problems.
std::shared_ptr<Sweep> prepare_sweep(const std::vector<std::string>& arguments, OptionSet& set, Problems& problems);

/// Threads that its runs are to have, and of runs that name none another number.
int sweep_threads(const Sweep& sweep);
void set_sweep_threads(Sweep& sweep, int threads);
fs::path sweep_folder(const Sweep& sweep);

/// Runs what is not done yet. Throws usage for another sweep's folder, io, and bad_input for data that cannot be used; runs that
/// are not finite are results. With a group every rank calls it alike: each trains its share of the runs by itself, and rank 0
/// alone keeps the records and draws or logs. Throws usage for a budget then, which is counted run by run.
RunEnd run_sweep(Sweep& sweep, const SweepWatch& watch, RankGroup* group = nullptr);

}  // namespace dept
