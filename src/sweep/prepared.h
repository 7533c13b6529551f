// A sweep that has been read: what it is to run, and what makes it this one.
#pragma once

#include <vector>

#include "dept/train/marker.h"
#include "sweep/configuration.h"

namespace dept {

class Sweep {
 public:
  SweepCommand command;
  SweepSpec spec;
  std::vector<PlannedRun> plan;
  fs::path out;
  bool overwrite = false, tests = false, tests_all = false;  ///< --overwrite_output_dir; whether the best, or all, see test data
  bool reports = true;                                       ///< report.html at its end
  int threads = 1;
  int threads_if_unnamed = 0;  ///< of runs that name none; 0: as train settles it
  RunIdentity identity;        ///< options alone

  /// The run's options as it trains.
  std::unique_ptr<Configuration> configure(size_t place) const;
  std::vector<std::string> axes() const;
};

}  // namespace dept
