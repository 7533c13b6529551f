// Learning-rate schedules by transformers' names and formulas (get_scheduler with its default arguments).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dept {

/// linear, cosine, cosine_with_restarts, polynomial, constant, constant_with_warmup, inverse_sqrt.
const std::vector<std::string>& schedule_names();

class Schedule {
 public:
  /// `learning_rate` matters to polynomial alone, which ends at the rate 1e-7. Throws usage for an unknown name.
  Schedule(std::string_view name, int64_t warmup_steps, int64_t total_steps, double learning_rate);

  /// What the learning rate is multiplied with after `steps` optimiser steps: the first step uses factor(0), 0 under warm-up.
  double factor(int64_t steps) const;

 private:
  using Decay = double (*)(const Schedule&, double steps);
  friend struct Decays;
  Decay decay_;
  bool warms_up_ = true;
  double warmup_, total_, learning_rate_;
};

/// --warmup_steps when positive, else warmup_ratio of the total, rounded up.
int64_t warmup_steps(int64_t steps, double ratio, int64_t total_steps);

}  // namespace dept
