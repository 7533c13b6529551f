// How many runs of one form share a pass.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

#include "dept/train/pass.h"

namespace dept {

/// A number that is given, or the one whose steps cost least: real steps of 1, 2 and 4 runs are measured, and of twice as many as
/// long as that pays and memory lasts. Wide passes gain where a run's own batch leaves the machine idle, as a small one does.
class StackWidth {
 public:
  /// `given` 0 means by measuring.
  explicit StackWidth(int64_t given) : width_(given > 0 ? static_cast<size_t>(given) : 1), settled_(given > 0) {}

  /// Of the next step.
  size_t width() const { return width_; }
  bool settled() const { return settled_; }

  /// Before a step: notes how much memory there is in use at first.
  void before_step();
  /// Behind it: what a step of `runs` runs cost.
  void measured(size_t runs, const PassCost& cost);

 private:
  struct Samples {
    int count = 0;       // the first one, which warms up, included
    double seconds = 0;  // the fewest a token
  };
  void widen();
  bool has_room() const;

  size_t width_;
  bool settled_;
  std::map<size_t, Samples> samples_;  // by width
  double resident_ = 0;                // bytes before the first step
};

}  // namespace dept
