// What a sweep keeps on disk beside its runs: sweep.json, results.jsonl, results.csv, best/ and best.yaml.
#pragma once

#include <vector>

#include "dept/train/marker.h"
#include "sweep/prepared.h"
#include "sweep/records.h"

namespace dept {

class Store {
 public:
  /// One that `writes` nothing keeps the records in memory alone.
  Store(const Sweep& sweep, bool writes);

  /// What makes the sweep this one: its options and what its files hold.
  const RunIdentity& identity() const { return identity_; }
  /// Whose the folder is. Throws usage naming what differs where another command's sweep, or other files, are there.
  Claim claim() const;
  /// Takes the folder, and the records of an earlier process. Throws io or bad_input.
  void open();

  /// The records of the runs at these places, and back into those of the same names. Throws bad_input naming `where`.
  OrderedJson records_of(const std::vector<size_t>& places) const;
  void restore(const OrderedJson& records, const std::string& where);
  /// Writes state and results, each file whole.
  void save() const;
  /// best/ and best.yaml (of a task best-TASK) from a finished run.
  void keep_best(size_t place) const;
  void finish();

  std::vector<RunRecord> runs;

 private:
  void write_state() const;

  const Sweep& sweep_;
  const bool writes_;
  RunIdentity identity_;
  bool finished_ = false;
};

}  // namespace dept
