// The training loop of a run: by itself, or step by step together with others (pass.h).
#pragma once

#include <chrono>
#include <exception>
#include <optional>
#include <string>

#include "dept/base/progress.h"
#include "dept/train/data_order.h"
#include "dept/train/kept_checkpoints.h"
#include "dept/train/loop_inputs.h"
#include "dept/train/metric_schedule.h"
#include "dept/train/schedule.h"
#include "dept/train/step.h"
#include "dept/train/train_log.h"

namespace dept {

enum class LoopEnd {
  done,
  interrupted,  ///< in training or in an evaluation; what is done is saved
  paused,       ///< at pause_at, saved
};

/// When something is done.
enum class When { never, steps, epoch };

/// What the options say of it, made once.
struct Timetable {
  When logs = When::never, evaluates = When::never, saves = When::never;
  bool logs_first_step = false;
  bool saves_best = false;  ///< only what is better than all before; `saves` is as `evaluates` then
  int64_t logging_steps = 0, eval_steps = 0, save_steps = 0;
  double eval_delay = 0;
};

class TrainingLoop {
 public:
  explicit TrainingLoop(const LoopInputs& inputs);
  TrainingLoop(const TrainingLoop&) = delete;
  TrainingLoop& operator=(const TrainingLoop&) = delete;

  /// Goes on from --resume_from_checkpoint, else from the newest checkpoint of output_dir, else from the start.
  /// A run that goes on after an interrupt or a pause ends in the same bytes. Throws NotFinite.
  LoopEnd run();

  /// Saves what a run that was interrupted behind its last step needs to come there again.
  void save_end();

  const TrainState& state() const { return state_; }
  int64_t total_steps() const { return total_steps_; }
  int64_t parameters() const { return step_.parameters(); }
  int64_t visual_parameters() const { return step_.visual_parameters(); }
  const log::File* log_file() const { return in_.log_file; }
  bool stacks_with(const TrainingLoop& other) const { return step_.stacks_with(other.step_); }

  // What run() consists of. All but goes_on may throw NotFinite; start, complete, end_step and end also Interrupted, an
  // evaluation's.

  /// Goes on from a checkpoint; does what is due before the first step.
  void start();
  /// Whether there is another step to take.
  bool goes_on() const;
  void begin_step();
  /// What the run brings to the next pass.
  StepPart next_part();
  /// Behind that pass, which counted `tokens` (Step::accumulate): whether it was the step's last one.
  bool complete(const at::Tensor& tokens);
  /// Moves the weights.
  void update();
  /// Whether end_step, or end, begins with an evaluation of the weights as they are.
  bool end_step_evaluates() const;
  bool end_evaluates() const;
  /// Whether both are evaluated by the same rules on the same data.
  bool evaluated_as(const TrainingLoop& other) const;
  /// For what is evaluated in one pass by a stack of such loops.
  std::vector<Evaluation> evaluate(const AdaptedModel& stack) const;
  Step& step() { return step_; }
  /// The result of that for this loop, which the next evaluation takes in place of one of its own.
  void give(Evaluation evaluation, double seconds);
  /// What is due behind a step.
  void end_step();
  /// Behind the last step: done or paused.
  LoopEnd end();
  /// In the place of whatever Interrupted ended.
  LoopEnd leave();

  /// What ended the run for good, NotFinite; null while nothing has. Kept for whoever drives the loop.
  std::exception_ptr failure;

 private:
  using Clock = std::chrono::steady_clock;

  void resume(const fs::path& checkpoint);
  void pause();
  void do_owed();
  void do_due(When when);
  bool is_due(When when, int64_t every) const;
  bool evaluation_due() const;
  bool save_due() const;
  void read_pending_loss();
  void stand_in_loss();
  void log_loss();
  Evaluation evaluate_now();
  void evaluate_and_follow();
  void follow(double metric);
  void save();
  bool stopped_early() const;
  Rates rates() const;
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

  const LoopInputs in_;
  const Timetable times_;
  DataOrder order_;
  int64_t total_steps_, last_step_;
  Schedule schedule_;
  std::optional<MetricSchedule> metric_schedule_;  // in the place of schedule_, which is constant then
  Step step_;
  TrainState state_;
  TrainLog log_;
  KeptCheckpoints checkpoints_;
  at::Tensor pending_loss_;  // of the step before, not yet read
  double last_loss_ = 0;
  bool within_step_ = false;
  std::optional<std::pair<Evaluation, double>> given_;  // with its seconds
  std::optional<double> evaluated_;                     // of the evaluation just done: what chooses the best
  int64_t first_step_ = 0;                              // of this process
  Clock::time_point start_;
  std::optional<Progress> progress_;
};

/// The checkpoint that a run goes on from; empty: none. Throws usage, io or bad_input for one that is asked for and not there.
fs::path checkpoint_to_resume(const OutputOptions& output);

/// How many evaluations in a row were no better than the best saved one, after one more that gave `value`; better by no more than
/// `threshold` does not count (transformers' EarlyStoppingCallback).
int64_t stale_evaluations(int64_t so_far, std::optional<double> best, double value, bool greater_is_better, double threshold);

/// Optimiser steps of a run: max_steps, else those that num_train_epochs take (transformers' rule).
int64_t total_steps(const ScheduleOptions& options, int64_t batches_per_epoch);

}  // namespace dept
