// What a recipe's `sweep` says: the axes, how configurations are chosen, when the sweep ends.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dept/base/option_tree.h"
#include "dept/base/options.h"

namespace dept {

enum class SweepMethod { grid, random, halving };

enum class Distribution { categorical, constant, uniform, log_uniform_values, int_uniform };

/// An option of train that takes several values.
struct Axis {
  std::string option;  ///< its own name
  Distribution distribution = Distribution::categorical;
  std::vector<OptionValue> values;        ///< categorical: each; constant: the one
  double low = 0, high = 0;               ///< uniform, log_uniform_values
  int64_t whole_low = 0, whole_high = 0;  ///< int_uniform, both included

  bool listed() const { return distribution == Distribution::categorical || distribution == Distribution::constant; }
};

struct SweepSpec {
  SweepMethod method = SweepMethod::grid;
  std::string metric;            ///< "loss", "accuracy", ..; empty: the task's first
  std::optional<bool> maximize;  ///< absent: unless it is the loss
  std::vector<Axis> axes;
  std::vector<std::string> unsound;  ///< options of axes whose mistakes are said
  std::vector<std::string> repeat;   ///< options whose values are runs of one row
  std::optional<int64_t> run_cap;
  uint64_t seed = 42;
  int64_t min_iter = 0, eta = 3;  ///< halving's rungs: min_iter * eta^k steps
  std::optional<int64_t> budget_steps;
  std::optional<double> budget_minutes;
  int64_t stack = 0;  ///< 0: auto

  bool repeats(const std::string& option) const;
};

/// Reads the tree under `sweep`; every mistake becomes a problem. `set` describes train's options and checks their values.
SweepSpec read_sweep_spec(const OptionTree& tree, OptionSet& set, Problems& problems);

/// The axes that give each of their values a sweep of its own.
bool divides(const std::string& option);

}  // namespace dept
