// Learning rates that follow a metric of the evaluations: torch's ReduceLROnPlateau and transformers' GreedyLR, under their
// names.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dept/base/json.h"
#include "dept/train/optimizer.h"

namespace dept {

/// reduce_lr_on_plateau, greedy.
const std::vector<std::string>& metric_schedule_names();
bool follows_metric(std::string_view schedule);

/// Their lr_scheduler_kwargs.
struct MetricScheduleArguments {
  bool greedy = false;             ///< rates rise as well
  bool greater_is_better = false;  ///< mode max
  bool relative = true;            ///< threshold_mode rel
  double factor = 0.1, threshold = 1e-4, min_lr = 0, eps = 1e-8;
  int64_t patience = 10, cooldown = 0;
  double max_lr = 1;  ///< this and what follows: of greedy alone
  int64_t warmup = 0, window_size = 50, reset_start = 500;
  bool smooth = false;
};

/// From a JSON object; "" is an empty one, and the mode, where it is not said, what `greater_is_better` says. Throws usage for
/// what the schedule of that name does not take.
MetricScheduleArguments parse_metric_schedule(std::string_view name, const std::string& json, bool greater_is_better);

class MetricSchedule {
 public:
  MetricSchedule(const MetricScheduleArguments& arguments, const Rates& start);

  /// After an evaluation.
  void evaluated(double metric);
  const Rates& rates() const { return rates_; }

  /// All that moves, and back. Throws bad_input naming `where`.
  OrderedJson state() const;
  void restore(const Json& state, const std::string& where);

 private:
  double smoothed(double metric);
  bool better(double metric) const;
  void count(bool better);
  void follow_plateau(double metric);
  void follow_greedily(double metric);
  void lower();
  void raise();
  void begin_anew();

  MetricScheduleArguments arguments_;
  Rates start_, rates_;
  double best_;
  int64_t bad_ = 0, good_ = 0;  ///< evaluations in a row
  int64_t cooldown_left_ = 0, warmup_left_ = 0;
  int64_t reset_left_;  ///< lowerings at the last rates before all begins anew
  std::vector<double> window_;
  double window_sum_ = 0;
};

}  // namespace dept
