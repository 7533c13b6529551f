#include "dept/train/loop.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <iomanip>
#include <numeric>
#include <sstream>
#include <utility>

#include "dept/base/error.h"
#include "dept/base/log.h"
#include "dept/base/progress.h"
#include "dept/base/rounding.h"
#include "dept/base/text.h"
#include "dept/train/marker.h"
#include "train/loop_rules.h"

namespace dept {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::string fixed(double value, int digits) {
  std::ostringstream out;
  out << std::fixed << std::setprecision(digits) << value;
  return out.str();
}

}  // namespace

TrainingLoop::TrainingLoop(const LoopInputs& inputs)
    : in_(inputs),
      sampler_(static_cast<int64_t>(in_.train.examples.size()), order_seed(in_.options.schedule),
               groups_by_length(in_.options.schedule) ? 1 : 2),
      batches_per_epoch_(count_batches(in_)),
      total_steps_(dept::total_steps(in_.options.schedule, batches_per_epoch_)),
      counted_parameters_(counted_parameters(in_)),
      schedule_(step_schedule(in_, total_steps_)),
      metric_schedule_(metric_schedule(in_)),
      step_(in_.call, in_.model, adam_options(in_.options.optimizer), in_.options.optimizer.max_grad_norm,
            in_.options.schedule.gradient_accumulation_steps) {
  if (!groups_by_length(in_.options.schedule)) return;
  for (const Example& example : in_.train.examples) lengths_.push_back(input_tokens(in_, example));
}

LoopEnd TrainingLoop::run() {
  state_.generator = sampler_.state();
  state_.num_train_epochs = epochs_of(in_.options.schedule, total_steps_, batches_per_epoch_);
  if (const fs::path checkpoint = checkpoint_to_resume(in_.options.output); !checkpoint.empty()) resume(checkpoint);
  const int64_t first_step = state_.step, last_step = std::min(total_steps_, in_.pause_at.value_or(total_steps_));
  const auto start = Clock::now();
  Progress progress("train", total_steps_, first_step);
  try {
    if (in_.options.evaluation.eval_on_start && first_step == 0) evaluate_and_log();  // moves no rates
    if (!state_.owed.empty()) end_step(std::string(state_.owed));
    while (state_.step < last_step && !stopped_early()) {
      train_one_step();
      if (in_.stepped) in_.stepped(state_.step, last_loss_);
      progress.advance(1, str("loss ", fixed(last_loss_, 4)));
      if (state_.step == first_step + 5 && state_.step < total_steps_) announce_end(seconds_since(start), 5);
      end_step();
      if (in_.interrupted && in_.interrupted()) throw Interrupted();
    }
    if (state_.step < total_steps_ && !stopped_early()) {
      pause();
      return LoopEnd::paused;
    }
  } catch (const Interrupted&) {
    leave();
    return LoopEnd::interrupted;
  }
  log_summary(seconds_since(start));
  if (in_.options.evaluation.load_best_model_at_end) load_best();
  return LoopEnd::done;
}

// An evaluation that chooses nothing and moves no rate, saved with the state: the run goes on as if it had not paused.
void TrainingLoop::pause() {
  read_pending_loss();
  const bool judged = std::any_of(state_.log.begin(), state_.log.end(), [&](const OrderedJson& entry) {
    return entry.contains("eval_loss") && entry["step"] == state_.step;
  });
  if (!judged) log_evaluation();
  judged_.reset();
  if (!judged || saved_step_ != state_.step) save();
}

// A step's first evaluation and one in the midst of a step (of the original's) have nothing that could be saved with them: a run
// that goes on does that part again.
void TrainingLoop::leave() {
  judged_.reset();  // what is saved out of turn is never the best
  if (state_.step > 0 && !within_step_ && (saved_step_ != state_.step || !state_.owed.empty())) save();
  if (saved_step_ == 0)
    log::info("interrupted before the first checkpoint: nothing to save");
  else
    log::info(str("interrupted: saved at step ", saved_step_, " of ", total_steps_));
}

void TrainingLoop::save_end() {
  const bool best_is_here = in_.options.evaluation.load_best_model_at_end;  // in the place of the last weights
  if (saved_step_ == state_.step || best_is_here) return;
  state_.log.erase(state_.log.size() - 1);  // the summary, which is made again
  judged_.reset();
  save();
}

// What is due behind a step, or of it what an interrupt left, in transformers' order.
void TrainingLoop::end_step(const std::string& from) {
  if (from == "steps") act("steps");
  act("epoch");
  if (stopped_early())
    log::info(str("stopping early at step ", state_.step, ": ", state_.stale_evaluations, " evaluations without a better one"));
}

// What is due of one strategy: log, evaluate, save.
void TrainingLoop::act(const std::string& strategy) {
  state_.owed = strategy;
  const OutputOptions& output = in_.options.output;
  const std::string &evaluates = in_.options.evaluation.eval_strategy, &saves = output.save_strategy;
  const bool logs = output.logging_strategy == strategy && due(strategy, output.logging_steps);
  const bool first = output.logging_first_step && strategy == "steps" && state_.step == 1;
  if ((logs || first) && state_.logged_step < state_.step) log_loss();
  if (evaluates == strategy && evaluation_due()) evaluate_and_log();
  state_.owed = strategy == "steps" && due("epoch", 0) ? "epoch" : "";
  if ((saves == "best" ? evaluates : saves) == strategy && save_due()) save();
}

bool TrainingLoop::evaluation_due() const {
  const EvaluationOptions& o = in_.options.evaluation;
  const double done = o.eval_strategy == "epoch" ? state_.epochs : static_cast<double>(state_.step);
  return due(o.eval_strategy, *o.eval_steps) && o.eval_delay <= done;
}

bool TrainingLoop::save_due() const {
  const OutputOptions& o = in_.options.output;
  if (o.save_strategy != "best") return due(o.save_strategy, o.save_steps);
  return judged_ && (!state_.best_metric || better(*judged_, *state_.best_metric));
}

void TrainingLoop::resume(const fs::path& folder) {
  const Checkpoint checkpoint = load_checkpoint(folder, in_.model.backbone().info().input_width());
  const double epochs = state_.num_train_epochs;
  state_ = checkpoint.state;
  state_.num_train_epochs = epochs;
  saved_step_ = state_.step;
  const OutputOptions& output = in_.options.output;
  if (!state_.best_checkpoint.empty() && !fs::exists(fs::path(output.output_dir) / state_.best_checkpoint))
    take_over_best(folder.parent_path());
  take_weights(checkpoint.adapter.weights);
  sampler_.restore(state_.generator, state_.epoch);
  step_.restore(checkpoint.optimizer, state_.micro_steps);
  if (metric_schedule_ && !state_.schedule.is_null()) metric_schedule_->restore(state_.schedule, folder.string());
  drop_later_checkpoints(output.output_dir, state_.step);
  if (output.save_total_limit) prune_checkpoints(output.output_dir, *output.save_total_limit, state_.best_checkpoint);
  log::info(str("going on from ", folder.string()));
}

// The best checkpoint of another run, from which this one goes on: a copy, so that this folder stays whole without the other.
void TrainingLoop::take_over_best(const fs::path& run) {
  const fs::path best = run / state_.best_checkpoint;
  const fs::path output_dir = in_.options.output.output_dir;
  const bool same_data = same_contents(output_dir, run, "validation_file") && same_contents(output_dir, run, "validation");
  if (judged_alike() && same_data && fs::exists(best / "training_state.json")) {
    if (rank(in_.call) == 0) copy_checkpoint(best, output_dir);
    return;
  }
  const std::string why = !judged_alike() ? str("none by ", judging_metric(in_))
                          : same_data     ? "not there"
                                          : "of other validation data";
  log::warn(str("the best checkpoint so far, ", best.string(), ", is ", why, ": the best is chosen of what follows"));
  state_.best_metric.reset();
  state_.best_checkpoint.clear();
}

// Whether the best so far was chosen by what chooses now: the log has its value under that name.
bool TrainingLoop::judged_alike() const {
  const std::string name = "eval_" + judging_metric(in_);
  return std::any_of(state_.log.begin(), state_.log.end(), [&](const OrderedJson& entry) {
    return checkpoint_name(entry.value("step", int64_t{0})) == state_.best_checkpoint && entry.contains(name) &&
           entry[name].is_number() && entry[name].get<double>() == *state_.best_metric;
  });
}

// The epoch's order of examples.
const std::vector<int64_t>& TrainingLoop::order() {
  const std::string& strategy = in_.options.schedule.train_sampling_strategy;
  if (strategy == "random") return sampler_.order();
  if (order_.empty() && strategy == "sequential") {
    order_.resize(in_.train.examples.size());
    std::iota(order_.begin(), order_.end(), int64_t{0});
  }
  if (order_.empty())
    order_ =
        group_by_length(sampler_.order(), lengths_, examples_per_batch(in_) * in_.options.schedule.gradient_accumulation_steps);
  return order_;
}

// This rank's part of the next micro-batch in the epoch's order.
std::span<const Example> TrainingLoop::next_micro_batch() {
  const int64_t count = static_cast<int64_t>(in_.train.examples.size()), part = in_.options.schedule.per_device_train_batch_size;
  const int64_t batch_begin = state_.batch * examples_per_batch(in_);
  const int64_t begin = std::min(batch_begin + rank(in_.call) * part, count), end = std::min(begin + part, count);
  micro_batch_.clear();
  for (int64_t i = begin; i < end; ++i) micro_batch_.push_back(in_.train.examples[order()[i]]);
  for (int64_t i = batch_begin; i < std::min(batch_begin + examples_per_batch(in_), count); ++i)
    state_.total_flos += 6.0 * static_cast<double>(input_tokens(in_, in_.train.examples[order()[i]]) * counted_parameters_);
  if (++state_.batch == batches_per_epoch_) {
    sampler_.next_epoch();
    order_.clear();
    state_.batch = 0;
    ++state_.epoch;
    state_.epoch_ended = true;
  }
  return micro_batch_;
}

// Micro-batches are counted over epochs' ends; an epoch shorter than a step ends in a step of its own (docs/parity.md, row 7).
void TrainingLoop::train_one_step() {
  const int64_t accumulation = in_.options.schedule.gradient_accumulation_steps;
  within_step_ = true;
  state_.epoch_ended = false;
  judged_.reset();
  const Quirks& quirks = in_.model.rules().quirks;
  for (bool complete = false; !complete;) {
    const at::Tensor judged = step_.accumulate(next_micro_batch());
    if (quirks.replaces_loss_without_labels() && judged.sum().item<double>() == 0) stand_in_loss();
    complete = step_.micro_steps() % accumulation == 0 || (state_.epoch_ended && batches_per_epoch_ <= accumulation);
    if (quirks.acts_at_epoch_end_within_step() && state_.epoch_ended && !complete) end_epoch();
  }
  const at::Tensor loss = step_.update(rates());
  read_pending_loss();
  pending_loss_ = loss;
  ++state_.step;
  state_.epochs = epochs();
  within_step_ = false;
}

// An epoch's end within a step: there the original does what is due by epochs, before the step.
void TrainingLoop::end_epoch() {
  act("epoch");
  state_.epoch_ended = false;
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

std::vector<Rates> TrainingLoop::rates() const {
  if (metric_schedule_) return {metric_schedule_->rates()};
  Rates rates = base_rates(in_.options.optimizer);
  for (double& rate : rates) rate *= schedule_.factor(state_.step);
  return {rates};
}

// At a step's end; "epoch" is due at the first step that ends at or behind an epoch's end, and at the run's last one.
bool TrainingLoop::due(const std::string& strategy, int64_t every) const {
  if (strategy == "steps") return state_.step % every == 0;
  return strategy == "epoch" && (state_.epoch_ended || state_.step == total_steps_);
}

double TrainingLoop::epochs() const {
  return static_cast<double>(state_.epoch) + static_cast<double>(state_.batch) / static_cast<double>(batches_per_epoch_);
}

void TrainingLoop::record(OrderedJson entry) {
  if (in_.logged) in_.logged(entry);
  state_.log.push_back(std::move(entry));
}

void TrainingLoop::log_loss() {
  read_pending_loss();
  const double so_far = state_.loss_sum + step_.loss()[0].item<double>();  // with what the original logs of a step not yet done
  const double loss = (so_far - state_.logged_loss_sum) / static_cast<double>(state_.step - state_.logged_step);
  state_.logged_loss_sum = so_far;
  state_.logged_step = state_.step;
  const double rate = rates()[0][static_cast<size_t>(Group::prompt)];
  record({{"epoch", rounded(state_.epochs, 2)},
          {"learning_rate", rate},
          {"loss", rounded(loss, 4)},
          {"loss_exact", loss},
          {"step", state_.step}});
  log::info(str("step ", state_.step, "/", total_steps_, " epoch ", fixed(state_.epochs, 2), " loss ", fixed(loss, 4),
                " learning_rate ", rate));
}

Evaluation TrainingLoop::log_evaluation() {
  const auto start = Clock::now();
  Evaluation evaluation =
      evaluate(in_.model, in_.rules, in_.task, in_.validation.texts, in_.validation.examples, "evaluate", in_.interrupted);
  OrderedJson entry = {{"epoch", rounded(state_.epochs, 2)}};
  entry.update(evaluation_json(evaluation, "eval", seconds_since(start), in_.rules.batch_size));
  entry["step"] = state_.step;
  log::info(str("step ", state_.step, " ", entry.dump()));
  record(std::move(entry));
  return evaluation;
}

void TrainingLoop::evaluate_and_log() {
  const Evaluation evaluation = log_evaluation();
  judged_ = metric_value(evaluation, judging_metric(in_));
  state_.stale_evaluations = stale_evaluations(state_.stale_evaluations, state_.best_metric, *judged_, greater_is_better(in_),
                                               in_.options.evaluation.early_stopping_threshold);
  if (metric_schedule_ && state_.step > 0) follow(metric_value(evaluation, scheduling_metric(in_)));
}

void TrainingLoop::follow(double metric) {
  const Rates before = metric_schedule_->rates();
  metric_schedule_->evaluated(metric);
  if (metric_schedule_->rates() != before)
    log::info(str("learning_rate from ", before.front(), " to ", metric_schedule_->rates().front()));
}

bool TrainingLoop::better(double a, double b) const {
  return greater_is_better(in_) ? a > b : a < b;
}

bool TrainingLoop::stopped_early() const {
  const std::optional<int64_t>& patience = in_.options.evaluation.early_stopping_patience;
  return patience && state_.stale_evaluations >= *patience;
}

void TrainingLoop::save() {
  read_pending_loss();
  state_.micro_steps = step_.micro_steps();
  state_.generator = sampler_.state();
  if (metric_schedule_) state_.schedule = metric_schedule_->state();
  if (judged_ && (!state_.best_metric || better(*judged_, *state_.best_metric))) {
    state_.best_metric = judged_;
    state_.best_checkpoint = checkpoint_name(state_.step);
  }
  saved_step_ = state_.step;
  if (rank(in_.call) != 0) return;
  const OutputOptions& output = in_.options.output;
  save_checkpoint(output.output_dir, state_, total_steps_, in_.config, in_.model.weights(), step_.state());
  if (output.save_total_limit) prune_checkpoints(output.output_dir, *output.save_total_limit, state_.best_checkpoint);
}

void TrainingLoop::load_best() {
  if (!state_.best_metric) return;
  const fs::path folder = fs::path(in_.options.output.output_dir) / state_.best_checkpoint;
  const Adapter best = load_adapter(folder, in_.model.backbone().info().input_width(), {.use = AdapterUse::training});
  take_weights(best.weights);
  log::info(str("the best checkpoint is ", folder.string(), " (", *state_.best_metric, ")"));
}

void TrainingLoop::take_weights(const AdapterWeights& weights) const {
  const std::vector<Parameter> mine = in_.model.weights().parameters(), theirs = weights.parameters();
  for (size_t i = 0; i < mine.size(); ++i) mine[i].value.copy_(theirs.at(i).value);
}

void TrainingLoop::log_summary(double seconds) {
  read_pending_loss();
  const double steps = static_cast<double>(state_.step);
  const double examples = steps * static_cast<double>(examples_per_batch(in_) * in_.options.schedule.gradient_accumulation_steps);
  record({{"epoch", rounded(state_.epochs, 2)},
          {"step", state_.step},
          {"total_flos", state_.total_flos},
          {"train_loss", state_.loss_sum / steps},
          {"train_runtime", rounded(seconds, 4)},
          {"train_samples_per_second", rounded(examples / seconds, 3)},
          {"train_steps_per_second", rounded(steps / seconds, 3)}});
}

void TrainingLoop::announce_end(double seconds, int64_t steps) const {
  const double left = seconds / static_cast<double>(steps) * static_cast<double>(total_steps_ - state_.step);
  const std::time_t end = std::time(nullptr) + static_cast<std::time_t>(left);
  std::ostringstream clock;
  std::tm utc{};
  ::gmtime_r(&end, &utc);
  clock << std::put_time(&utc, "%H:%M UTC");
  log::info(str("training will end in about ", format_duration(left), ", near ", clock.str()));
}

}  // namespace dept
