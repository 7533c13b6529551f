// Learning-rate schedules by transformers' names and formulas (get_scheduler).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dept {

/// linear, cosine, cosine_with_restarts, polynomial, constant, constant_with_warmup, inverse_sqrt, cosine_with_min_lr,
/// cosine_warmup_with_min_lr, warmup_stable_decay. (Those that follow a metric: metric_schedule.h.)
const std::vector<std::string>& schedule_names();

/// transformers' lr_scheduler_kwargs; what is absent is what its functions take then.
struct ScheduleArguments {
  std::optional<double> num_cycles, power, lr_end, timescale;
  std::optional<double> min_lr, min_lr_rate, warmup_lr_rate;
  std::optional<double> num_decay_steps, num_stable_steps, min_lr_ratio;
  std::optional<std::string> warmup_type, decay_type;
};

/// From a JSON object; "" is an empty one. Throws usage for what the schedule of that name does not take or lacks.
ScheduleArguments parse_schedule_arguments(std::string_view name, const std::string& json);

class Schedule {
 public:
  /// `learning_rate` matters to schedules that are given their last rate itself (polynomial's is 1e-7 unless said). Throws usage
  /// for an unknown name.
  Schedule(std::string_view name, int64_t warmup_steps, int64_t total_steps, double learning_rate,
           const ScheduleArguments& arguments = {});

  /// What the learning rate is multiplied with after `steps` optimiser steps: the first step uses factor(0), 0 under warm-up.
  double factor(int64_t steps) const;

 private:
  enum class Kind {
    linear,
    cosine,
    cosine_with_restarts,
    polynomial,
    constant,
    constant_with_warmup,
    inverse_sqrt,
    cosine_with_min_lr,
    cosine_warmup_with_min_lr,
    warmup_stable_decay
  };
  double rising(double done) const;
  double falling(double done) const;
  double half_cosine(double progress) const;
  double stable_then_decay(double done) const;

  Kind kind_;
  double warmup_, total_, last_rate_, cycles_;
  ScheduleArguments arguments_;
};

/// --warmup_steps when positive, else warmup_ratio of the total, rounded up.
int64_t warmup_steps(int64_t steps, double ratio, int64_t total_steps);

}  // namespace dept
