// The one training loop.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "dept/data/sampler.h"
#include "dept/train/checkpoint.h"
#include "dept/train/evaluate.h"
#include "dept/train/metric_schedule.h"
#include "dept/train/options.h"
#include "dept/train/schedule.h"
#include "dept/train/step.h"

namespace dept {

/// Rows as text and as ids.
struct Split {
  std::vector<TextExample> texts;
  std::vector<Example> examples;
};

/// What a run works on. All references outlive the loop.
struct LoopInputs {
  const Call& call;  ///< seeds and ranks
  const TrainOptions& options;
  const TaskData& task;
  const AdapterConfig& config;
  AdaptedModel& model;  ///< trained in place
  const PredictRules& rules;
  const Split& train;
  const Split& validation;
  Interrupt interrupted;                                     ///< true: finish the step, save, leave
  std::function<void(const OrderedJson& entry)> logged;      ///< takes each entry of the log as it is made
  std::optional<int64_t> pause_at{};                         ///< a step at which it evaluates, saves and leaves
  std::function<void(int64_t step, double loss)> stepped{};  ///< called after each step; the loss is that of the step before
};

enum class LoopEnd {
  done,
  interrupted,  ///< in training or in an evaluation; what is done is saved
  paused,       ///< at pause_at, saved
};

class TrainingLoop {
 public:
  explicit TrainingLoop(const LoopInputs& inputs);

  /// Goes on from --resume_from_checkpoint, else from the newest checkpoint of output_dir, else from the start.
  /// A run that goes on after an interrupt or a pause ends in the same bytes. Throws NotFinite.
  LoopEnd run();

  /// Saves what a run that was interrupted behind its last step needs to come there again.
  void save_end();

  const TrainState& state() const { return state_; }
  int64_t total_steps() const { return total_steps_; }
  int64_t parameters() const { return step_.parameters(); }

 private:
  void resume(const fs::path& checkpoint);
  void take_over_best(const fs::path& run);
  bool judged_alike() const;
  void pause();
  void leave();
  void end_step(const std::string& from = "steps");
  void act(const std::string& strategy);
  bool evaluation_due() const;
  bool save_due() const;
  std::span<const Example> next_micro_batch();
  void train_one_step();
  void read_pending_loss();
  void stand_in_loss();
  void end_epoch();
  void record(OrderedJson entry);
  void log_loss();
  Evaluation log_evaluation();
  void evaluate_and_log();
  void follow(double metric);
  void save();
  void load_best();
  void log_summary(double seconds);
  void announce_end(double seconds, int64_t steps) const;
  bool due(const std::string& strategy, int64_t every) const;
  bool better(double a, double b) const;
  bool stopped_early() const;
  const std::vector<int64_t>& order();
  std::vector<Rates> rates() const;
  double epochs() const;
  void take_weights(const AdapterWeights& weights) const;

  const LoopInputs in_;
  EpochSampler sampler_;
  int64_t batches_per_epoch_;
  int64_t total_steps_;
  int64_t counted_parameters_;  // in total_flos
  Schedule schedule_;
  std::optional<MetricSchedule> metric_schedule_;  // in the place of schedule_, which is constant then
  Step step_;
  TrainState state_;
  at::Tensor pending_loss_;  // of the step before, not yet read
  double last_loss_ = 0;
  std::vector<int64_t> lengths_, order_;  // of the examples, and the epoch's order where it is not the sampler's
  std::vector<Example> micro_batch_;
  int64_t saved_step_ = 0;  // the newest checkpoint; 0 none
  bool within_step_ = false;
  std::optional<double> judged_;  // of the evaluation just done: what chooses the best
};

/// The checkpoint that a run goes on from; empty: none. Throws usage, io or bad_input for one that is asked for and not there.
fs::path checkpoint_to_resume(const OutputOptions& output);

/// How many evaluations in a row were no better than the best saved one, after one more that gave `value`; better by no more than
/// `threshold` does not count (transformers' EarlyStoppingCallback).
int64_t stale_evaluations(int64_t so_far, std::optional<double> best, double value, bool greater_is_better, double threshold);

/// Optimiser steps of a run: max_steps, else those that num_train_epochs take (transformers' rule).
int64_t total_steps(const ScheduleOptions& options, int64_t batches_per_epoch);

}  // namespace dept
