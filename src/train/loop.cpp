#include "dept/train/loop.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "dept/base/error.h"
#include "dept/base/log.h"
#include "dept/base/text.h"
#include "dept/dist/ranks.h"
#include "dept/train/pass.h"
#include "train/loop_rules.h"

namespace dept {
namespace {

constexpr const char* evaluation_title = "evaluate";

}  // namespace

TrainingLoop::TrainingLoop(const LoopInputs& inputs)
    : in_(inputs),
      times_(timetable(in_.options)),
      order_(in_),
      total_steps_(dept::total_steps(in_.options.schedule, order_.batches_per_epoch())),
      last_step_(std::min(total_steps_, in_.pause_at.value_or(total_steps_))),
      schedule_(step_schedule(in_, total_steps_)),
      metric_schedule_(metric_schedule(in_)),
      step_(in_.call, in_.model, adam_options(in_.options.optimizer), in_.options.optimizer.max_grad_norm,
            in_.options.schedule.gradient_accumulation_steps),
      log_(in_, state_, total_steps_),
      checkpoints_(in_, state_, total_steps_) {}

LoopEnd TrainingLoop::run() {
  Pass alone;
  TrainingLoop* const self[] = {this};
  try {
    start();
    while (goes_on()) {
      alone.step(self);
      if (failure) std::rethrow_exception(failure);
      if (step_.agreed_to_leave(in_.interrupted && in_.interrupted())) throw Interrupted();
    }
    return end();
  } catch (const Interrupted&) {
    return leave();
  }
}

void TrainingLoop::start() {
  state_.generator = order_.generator();
  state_.num_train_epochs = epochs_of(in_.options.schedule, total_steps_, order_.batches_per_epoch());
  const fs::path checkpoint = from_first(in_.call.group, checkpoint_to_resume(in_.options.output).string());
  if (!checkpoint.empty()) resume(checkpoint);
  first_step_ = state_.step;
  start_ = Clock::now();
  progress_.emplace("train", total_steps_, first_step_);
  if (in_.options.evaluation.eval_on_start && first_step_ == 0) evaluate_and_follow();  // moves no rates
  if (!state_.owed.empty()) do_owed();
}

bool TrainingLoop::goes_on() const {
  return state_.step < last_step_ && !stopped_early();
}

void TrainingLoop::begin_step() {
  within_step_ = true;
  state_.epoch_ended = false;
  evaluated_.reset();
}

StepPart TrainingLoop::next_part() {
  const int64_t longest = order_.longest_target(state_);
  return {&step_, order_.next(state_), longest};
}

// Micro-batches are counted over epochs' ends; an epoch shorter than a step ends in a step of its own (docs/parity.md, row 7).
bool TrainingLoop::complete(const at::Tensor& tokens) {
  const int64_t accumulation = in_.options.schedule.gradient_accumulation_steps;
  const Quirks& quirks = in_.model.rules().quirks;
  if (quirks.replaces_loss_without_labels() && tokens.sum().item<double>() == 0) stand_in_loss();
  const bool last = step_.micro_steps() % accumulation == 0 || (state_.epoch_ended && order_.batches_per_epoch() <= accumulation);
  // An epoch's end within a step: there the original does what is due by epochs, before the step.
  if (quirks.acts_at_epoch_end_within_step() && state_.epoch_ended && !last) {
    do_due(When::epoch);
    state_.epoch_ended = false;
  }
  return last;
}

void TrainingLoop::update() {
  const at::Tensor loss = step_.update({rates()});
  read_pending_loss();
  pending_loss_ = loss;
  ++state_.step;
  state_.epochs = order_.epochs(state_);
  state_.owed = "steps";
  within_step_ = false;
}

void TrainingLoop::end_step() {
  if (in_.stepped) in_.stepped(state_.step, last_loss_);
  progress_->advance(1, str("loss ", fixed(last_loss_, 4)));
  if (state_.step == first_step_ + 5 && state_.step < total_steps_) log_.announce_end(seconds(), 5);
  do_owed();
}

// What is due behind a step, or of it what an interrupt left.
void TrainingLoop::do_owed() {
  if (state_.owed == "steps") do_due(When::steps);
  do_due(When::epoch);
  if (stopped_early())
    log::info(str("stopping early at step ", state_.step, ": ", state_.stale_evaluations, " evaluations without a better one"));
}

LoopEnd TrainingLoop::end() {
  if (state_.step < total_steps_ && !stopped_early()) {
    pause();
    progress_.reset();
    return LoopEnd::paused;
  }
  read_pending_loss();
  step_.require_finite_gradients();
  log_.summary(seconds());
  if (in_.options.evaluation.load_best_model_at_end) checkpoints_.load_best();
  progress_.reset();
  return LoopEnd::done;
}

// An evaluation that chooses nothing and moves no rate, saved with the state: the run goes on as if it had not paused.
void TrainingLoop::pause() {
  read_pending_loss();
  const bool evaluated = log_.has_evaluation();
  if (!evaluated) evaluate_now();
  evaluated_.reset();
  if (!evaluated || checkpoints_.newest() != state_.step) save();
}

// A step's first evaluation and one in the midst of a step (of the original's) have nothing that could be saved with them: a run
// that goes on does that part again.
LoopEnd TrainingLoop::leave() {
  evaluated_.reset();  // what is saved out of turn is never the best
  if (state_.step > 0 && !within_step_ && (checkpoints_.newest() != state_.step || !state_.owed.empty())) save();
  if (checkpoints_.newest() == 0)
    log::info("interrupted before the first checkpoint: nothing to save");
  else
    log::info(str("interrupted: saved at step ", checkpoints_.newest(), " of ", total_steps_));
  progress_.reset();
  return LoopEnd::interrupted;
}

void TrainingLoop::save_end() {
  const bool best_is_here = in_.options.evaluation.load_best_model_at_end;  // in the place of the last weights
  if (checkpoints_.newest() == state_.step || best_is_here) return;
  state_.log.erase(state_.log.size() - 1);  // the summary, which is made again
  evaluated_.reset();
  save();
}

// What is due at steps or at epochs, in transformers' order: log, evaluate, save.
void TrainingLoop::do_due(When when) {
  state_.owed = when == When::steps ? "steps" : "epoch";
  const bool logs = times_.logs == when && is_due(when, times_.logging_steps);
  const bool first = times_.logs_first_step && when == When::steps && state_.step == 1;
  if ((logs || first) && state_.logged_step < state_.step) log_loss();
  if (times_.evaluates == when && evaluation_due()) evaluate_and_follow();
  state_.owed = when == When::steps && is_due(When::epoch, 0) ? "epoch" : "";
  if (times_.saves == when && save_due()) save();
}

// At a step's end; epochs are due at the first step that ends at or behind an epoch's end, and at the run's last one.
bool TrainingLoop::is_due(When when, int64_t every) const {
  if (when == When::steps) return state_.step % every == 0;
  return when == When::epoch && (state_.epoch_ended || state_.step == total_steps_);
}

bool TrainingLoop::evaluation_due() const {
  const double done = times_.evaluates == When::epoch ? state_.epochs : static_cast<double>(state_.step);
  return is_due(times_.evaluates, times_.eval_steps) && times_.eval_delay <= done;
}

bool TrainingLoop::save_due() const {
  if (!times_.saves_best) return is_due(times_.saves, times_.save_steps);
  return evaluated_ && (!state_.best_metric || checkpoints_.better(*evaluated_, *state_.best_metric));
}

void TrainingLoop::resume(const fs::path& folder) {
  const Checkpoint checkpoint = checkpoints_.resume(folder);
  order_.restore(state_);
  step_.restore(checkpoint.optimizer, state_.micro_steps);
  if (metric_schedule_ && !state_.schedule.is_null()) metric_schedule_->restore(state_.schedule, folder.string());
  checkpoints_.drop_later();
  log::info(str("going on from ", folder.string()));
}

// As transformers' logging_nan_inf_filter: a loss that is none counts as the mean of those since the last log.
void TrainingLoop::stand_in_loss() {
  read_pending_loss();
  const double sum = state_.loss_sum - state_.logged_loss_sum + step_.loss()[0].item<double>();
  step_.add_loss(sum / static_cast<double>(1 + state_.step - state_.logged_step));
}

void TrainingLoop::read_pending_loss() {
  if (!pending_loss_.defined()) return;
  last_loss_ = std::exchange(pending_loss_, {})[0].item<double>();
  if (!std::isfinite(last_loss_)) throw NotFinite(str("step ", state_.step), "a finite loss", last_loss_);
  state_.loss_sum += last_loss_;
}

Rates TrainingLoop::rates() const {
  if (metric_schedule_) return metric_schedule_->rates();
  Rates rates = base_rates(in_.options.optimizer);
  for (double& rate : rates) rate *= schedule_.factor(state_.step);
  return rates;
}

// With what the original logs of a step not yet done.
void TrainingLoop::log_loss() {
  read_pending_loss();
  log_.loss(state_.loss_sum + step_.loss()[0].item<double>(), rates()[static_cast<size_t>(Group::prompt)]);
}

bool TrainingLoop::end_step_evaluates() const {
  return !failure && times_.evaluates != When::never && evaluation_due();
}

bool TrainingLoop::end_evaluates() const {
  return !failure && state_.step < total_steps_ && !stopped_early() && !log_.has_evaluation();
}

bool TrainingLoop::evaluated_as(const TrainingLoop& other) const {
  const auto rules = [](const EvaluationOptions& o) {
    return std::tie(o.per_device_eval_batch_size, o.predict_by, o.predict_with_generate, o.generation_max_length,
                    o.generation_num_beams, o.max_new_tokens);
  };
  return &in_.validation == &other.in_.validation && in_.call.group == nullptr && other.in_.call.group == nullptr &&
         in_.rules.drop_last == other.in_.rules.drop_last && rules(in_.options.evaluation) == rules(other.in_.options.evaluation);
}

std::vector<Evaluation> TrainingLoop::evaluate(const AdaptedModel& stack) const {
  return evaluate_stack(stack, in_.rules, in_.task, in_.validation.texts, in_.validation.examples, evaluation_title,
                        in_.interrupted);
}

void TrainingLoop::give(Evaluation evaluation, double seconds) {
  given_.emplace(std::move(evaluation), seconds);
}

Evaluation TrainingLoop::evaluate_now() {
  const auto start = Clock::now();
  if (given_) {
    const auto [evaluation, seconds] = *std::exchange(given_, {});
    point_out_one_answer(evaluation_title, evaluation);
    log_.evaluation(evaluation, seconds);
    return evaluation;
  }
  Evaluation evaluation = dept::evaluate(in_.model, in_.rules, in_.task, in_.validation.texts, in_.validation.examples,
                                         evaluation_title, in_.interrupted);
  log_.evaluation(evaluation, std::chrono::duration<double>(Clock::now() - start).count());
  return evaluation;
}

void TrainingLoop::evaluate_and_follow() {
  const Evaluation evaluation = evaluate_now();
  evaluated_ = metric_value(evaluation, metric_for_best(in_));
  state_.stale_evaluations = stale_evaluations(state_.stale_evaluations, state_.best_metric, *evaluated_, greater_is_better(in_),
                                               in_.options.evaluation.early_stopping_threshold);
  if (metric_schedule_ && state_.step > 0) follow(metric_value(evaluation, scheduling_metric(in_)));
}

void TrainingLoop::follow(double metric) {
  const Rates before = metric_schedule_->rates();
  metric_schedule_->evaluated(metric);
  if (metric_schedule_->rates() != before)
    log::info(str("learning_rate from ", before.front(), " to ", metric_schedule_->rates().front()));
}

bool TrainingLoop::stopped_early() const {
  const std::optional<int64_t>& patience = in_.options.evaluation.early_stopping_patience;
  return patience && state_.stale_evaluations >= *patience;
}

void TrainingLoop::save() {
  read_pending_loss();
  state_.micro_steps = step_.micro_steps();
  state_.generator = order_.generator();
  if (metric_schedule_) state_.schedule = metric_schedule_->state();
  checkpoints_.save(step_, evaluated_);
}

}  // namespace dept
