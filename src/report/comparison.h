// Runs side by side: what told them apart, and what they came to.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "report/run_folder.h"

namespace dept {

struct ComparedRun {
  const ReportedRun* run = nullptr;
  std::string name;
  std::vector<std::string> values;  ///< one an axis
  std::string steps, end;
  std::optional<double> seconds;
  Figures metrics;
  bool best = false;
};

struct Comparison {
  std::string title;
  std::vector<std::string> axes;    ///< options in which the runs differ, repeat's left out
  std::vector<std::string> repeat;  ///< those in which the runs of one group differ (seed)
  std::vector<ComparedRun> runs;
  std::string metric;  ///< what chooses the best; "" none is known
  bool maximize = true;
};

/// Runs that differ in `repeat` alone.
struct RunGroup {
  std::vector<std::string> values;  ///< of the axes
  std::string name;                 ///< the values in words
  std::vector<const ComparedRun*> runs;
  /// The metric of its runs, as far as they have it.
  std::vector<double> figures(const std::string& metric) const;
};
std::vector<RunGroup> groups_of(const Comparison& comparison);

/// Of runs that were given one by one: the options in which they differ.
Comparison compare_runs(const std::vector<ReportedRun>& runs);
/// Of a sweep, one for each task where tasks are an axis.
std::vector<Comparison> compare_sweep(const ReportedSweep& sweep);

/// The best run, null where none is known.
const ComparedRun* best_of(const Comparison& comparison);

}  // namespace dept
