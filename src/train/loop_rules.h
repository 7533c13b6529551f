// What the training loop takes from its options and data before it starts: counts, seeds, rates, schedules, the metric that
// evaluates.
#pragma once

#include <optional>
#include <string>

#include "dept/train/loop.h"

namespace dept {

/// What trainer_state.json calls num_train_epochs: with --max_steps those that they take.
double epochs_of(const ScheduleOptions& schedule, int64_t steps, int64_t batches);

int64_t examples_per_batch(const LoopInputs& in);

int64_t count_batches(const LoopInputs& in);

uint64_t order_seed(const ScheduleOptions& schedule);

Rates base_rates(const OptimizerOptions& o);

AdamOptions adam_options(const OptimizerOptions& o);

/// What chooses the best checkpoint: "loss" or a metric of the task, by default its first one.
std::string metric_for_best(const LoopInputs& in);

bool greater_is_better(const LoopInputs& in);

bool groups_by_length(const ScheduleOptions& schedule);

/// As transformers counts a model's input; the original's is padded.
int64_t input_tokens(const LoopInputs& in, const Example& example);

/// What transformers' estimate of operations counts, 6 a token: non-embedding parameters. The original counts a head twice, as it
/// starts and as it trains.
int64_t counted_parameters(const LoopInputs& in);

/// What moves the rates of a schedule that follows a metric; as in transformers the loss where no other is named.
std::string scheduling_metric(const LoopInputs& in);

std::optional<MetricSchedule> metric_schedule(const LoopInputs& in);

Schedule step_schedule(const LoopInputs& in, int64_t steps);

double metric_value(const Evaluation& evaluation, const std::string& name);

Timetable timetable(const TrainOptions& options);

/// With that many digits behind the point.
std::string fixed(double value, int digits);

}  // namespace dept
