// What a run left in its folder, as a record; and how far the sweep is.
#pragma once

#include <chrono>
#include <string>

#include "dept/sweep/sweep.h"
#include "sweep/prepared.h"
#include "sweep/records.h"

namespace dept {

/// OUT/runs/NAME.
fs::path run_folder(const fs::path& out, const RunRecord& run);

/// Reads from the run's folder what it came to. `tested`: it was tried on the test data too. Throws io or bad_input.
void note_outcome(const fs::path& out, RunRecord& run, RunEnd end, const std::string& why, bool tested);

/// test_results.json without times and counts.
OrderedJson test_metrics(const fs::path& out, const RunRecord& run);

/// Removes what end_by_budget left of a run that is begun after all.
void prepare_folder(const fs::path& out, const RunRecord& run);

/// Ends a run where it is; one that was not begun gets a trainer_state.json of no step.
void end_by_budget(const fs::path& out, RunRecord& run);

/// "0.3_1e-4: finished, 300 steps, eval_accuracy 86.4".
std::string describe_run(const RunRecord& run, const Ranking& ranking);

/// Shows how far the sweep is, where somebody watches.
class Progression {
 public:
  /// Of `ranks` that share the runs this process is one.
  Progression(const Sweep& sweep, const SweepWatch& watch, const std::vector<RunRecord>& runs, const Ranking& ranking,
              int64_t ranks)
      : sweep_(sweep), watch_(watch), runs_(runs), ranking_(ranking), ranks_(ranks) {}

  /// A run begins: the last of these, which are underway.
  void begin(const std::vector<size_t>& places);
  void stepped(size_t place, int64_t step, int64_t steps, double loss);

 private:
  void show() const;
  double seconds_left() const;
  int64_t planned_steps() const;

  const Sweep& sweep_;
  const SweepWatch& watch_;
  const std::vector<RunRecord>& runs_;
  const Ranking& ranking_;
  const int64_t ranks_;
  int64_t earlier_ = 0;  // steps of earlier processes
  std::vector<SweepLine> lines_;
  size_t running_ = 0;
  int64_t steps_of_run_ = 0;  // of a whole one
  int64_t done_ = 0;          // steps of this process
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace dept
