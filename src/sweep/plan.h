// The list of runs that a sweep comes to.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sweep/spec.h"

namespace dept {

struct PlannedRun {
  std::string name;                 ///< of its folder: at most 120 characters, unique in the sweep
  std::vector<OptionValue> values;  ///< of each axis
  std::string task;                 ///< the values of the axes that divide; "" without such an axis
  std::string row;                  ///< the values of the axes that are not repeated; "all" without such an axis
};

/// The value that the place `draw` of a list gets on the axis number `axis`: a pure function of these and the seed.
OptionValue draw_value(const Axis& axis, uint64_t seed, uint64_t draw, uint32_t axis_number);

/// Grid, and halving without a cap: nested loops, the first axis outermost. Else run_cap runs; each draw has one run for each
/// value of the axes that divide or are repeated, as far as the cap reaches. Throws usage for more than 10,000 runs.
std::vector<PlannedRun> plan_runs(const SweepSpec& spec);

/// Values of axes as a name: those of `axes`, letters, digits and a few signs alone, "" for none.
std::string name_of(const std::vector<const Axis*>& axes, const std::vector<const OptionValue*>& values);

}  // namespace dept
