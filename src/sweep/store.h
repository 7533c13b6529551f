// What a sweep keeps on disk beside its runs: sweep.json, results.jsonl, results.csv, best/ and best.yaml.
#pragma once

#include <vector>

#include "dept/train/marker.h"
#include "sweep/prepared.h"
#include "sweep/records.h"

namespace dept {

class Store {
 public:
  explicit Store(const Sweep& sweep);

  /// Whose the folder is. Throws usage naming what differs where another command's sweep, or other files, are there.
  Claim claim();
  /// Takes the folder, and the records of an earlier process. Throws io or bad_input.
  void open();
  /// Writes state and results, each file whole.
  void save() const;
  /// best/ and best.yaml (of a task best-TASK) from a finished run.
  void keep_best(size_t place) const;
  void finish();

  std::vector<RunRecord> runs;

 private:
  void write_state() const;
  const Sweep& sweep_;
  RunIdentity identity_;
  bool finished_ = false;
};

}  // namespace dept
