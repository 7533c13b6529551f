// What a measurement needs to know of the machine it runs on: how fast its products can be, and whether others use it too.
#pragma once

#include <chrono>
#include <cstdint>

#include "bench/cost.h"
#include "dept/tensor/context.h"

namespace dept {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start);

/// Since exec: the loading of shared libraries included.
double seconds_since_process_start();

/// The most memory that this process held at once.
double peak_rss_gb();

/// GFLOP/s of the best of repeated products of a step.
struct GemmPeak {
  double library = 0;  ///< by LibTorch's own products
  double best = 0;     ///< by those or the engine's, whichever is faster for a shape
};
/// In type `compute`, of each linear of `cost.source` with `tokens` tokens, forward and (unless only that is asked for) backward;
/// weighted by their multiply-adds.
GemmPeak gemm_peak_gflops(const ModelCost& cost, c10::ScalarType compute, int64_t tokens, bool backward);

/// CPU time that others used since construction, as a share of the machine's; 0 where the system does not tell.
class BusyMeter {
 public:
  BusyMeter();
  double others() const;

 private:
  double busy_ = 0, own_ = 0;
  Clock::time_point start_;
};

}  // namespace dept
