// What the measurements of dept bench have in common.
#pragma once

#include <algorithm>
#include <vector>

#include "bench/machine.h"
#include "bench/workload.h"

namespace dept {

/// The machine's best products and the CPU time of others around a measurement.
class MachineCheck {
 public:
  /// Measures products of `tokens` tokens. Throws resource when others use the machine, unless options say allow_busy.
  MachineCheck(const BenchOptions& options, c10::ScalarType compute, ModelCost cost, int64_t tokens, bool backward);
  /// Measures them again. Throws resource unless the machine was idle all along.
  void finish();

  /// Appends what was seen to the figures of a measurement that made `flop` in `seconds`.
  void report(OrderedJson& figures, double flop, double seconds) const;

 private:
  GemmPeak measure();
  void require_idle() const;

  const BenchOptions& options_;
  c10::ScalarType compute_;
  ModelCost cost_;
  int64_t tokens_;
  bool backward_;
  BusyMeter meter_;
  GemmPeak before_, after_;
  double others_ = 0;
};

/// Seconds of each measured step, and what the steps did.
struct Steps {
  std::vector<double> seconds;
  double examples = 0, tokens = 0;  ///< input tokens, without prompt and padding
  double flop = 0;

  double total() const;
  /// examples_per_s to step_p95_s.
  void report(OrderedJson& figures) const;
};

}  // namespace dept
