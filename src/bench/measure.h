// The measurements of dept bench, and what they have in common.
#pragma once

#include <algorithm>
#include <vector>

#include "bench/machine.h"
#include "bench/workload.h"

namespace dept {

/// The training step, forward to optimiser with the collation of its batch; for each layout of --compare too.
std::vector<OrderedJson> bench_train(const BenchOptions& options);
/// Inputs encoded and labels written greedily, target_length tokens each; a model with a head: its logits.
OrderedJson bench_eval(const BenchOptions& options);
/// From nothing to the first training step, part by part, the model's files being in the page cache.
OrderedJson bench_load(const BenchOptions& options);

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
