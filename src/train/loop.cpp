#include "dept/train/loop.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <iomanip>
#include <sstream>
#include <utility>

#include "dept/base/error.h"
#include "dept/base/log.h"
#include "dept/base/progress.h"
#include "dept/base/text.h"

namespace dept {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double rounded(double value, int digits) {
  const double unit = std::pow(10, digits);
  return std::round(value * unit) / unit;
}

std::string fixed(double value, int digits) {
  std::ostringstream out;
  out << std::fixed << std::setprecision(digits) << value;
  return out.str();
}

int64_t ranks(const Context& ctx) {
  return ctx.group == nullptr ? 1 : ctx.group->size();
}
int64_t rank(const Context& ctx) {
  return ctx.group == nullptr ? 0 : ctx.group->rank();
}

int64_t examples_per_batch(const LoopInputs& in) {
  return in.options.schedule.per_device_train_batch_size * ranks(in.ctx);
}

int64_t count_batches(const LoopInputs& in) {
  const int64_t size = examples_per_batch(in);
  return (static_cast<int64_t>(in.train.examples.size()) + size - 1) / size;
}

uint64_t order_seed(const ScheduleOptions& schedule) {
  return schedule.data_seed ? static_cast<uint64_t>(*schedule.data_seed)
                            : EpochSampler::generator_seed(static_cast<uint64_t>(schedule.seed));
}

AdamOptions adam_options(const OptimizerOptions& o) {
  return {parse_optim(o.optim), o.adam_beta1, o.adam_beta2, o.adam_epsilon, o.apply_weight_decay ? o.weight_decay : 0};
}

// What chooses the best checkpoint: "loss" or a metric of the task, by default its first one.
std::string judging_metric(const LoopInputs& in) {
  const std::string& name = in.options.evaluation.metric_for_best_model;
  if (!name.empty()) return name.rfind("eval_", 0) == 0 ? name.substr(5) : name;
  return in.rules.by == PredictBy::nothing || in.task.metrics.empty() ? "loss" : in.task.metrics.front();
}

double judgement(const Evaluation& evaluation, const std::string& name) {
  if (name == "loss") return evaluation.loss;
  for (const auto& [metric, value] : evaluation.metrics)
    if (metric == name) return value;
  fail(Code::usage, "metric_for_best_model", "loss or a metric of the task", quote(name));
}

}  // namespace

int64_t total_steps(const ScheduleOptions& options, int64_t batches_per_epoch) {
  if (options.max_steps > 0) return options.max_steps;
  const int64_t per_epoch = std::max<int64_t>(1, batches_per_epoch / options.gradient_accumulation_steps);
  return static_cast<int64_t>(std::ceil(options.num_train_epochs * static_cast<double>(per_epoch)));
}

TrainingLoop::TrainingLoop(const LoopInputs& inputs)
    : in_(inputs),
      sampler_(static_cast<int64_t>(in_.train.examples.size()), order_seed(in_.options.schedule)),
      batches_per_epoch_(count_batches(in_)),
      total_steps_(dept::total_steps(in_.options.schedule, batches_per_epoch_)),
      schedule_(in_.options.schedule.lr_scheduler_type,
                warmup_steps(in_.options.schedule.warmup_steps, in_.options.schedule.warmup_ratio, total_steps_), total_steps_,
                in_.options.optimizer.learning_rate),
      step_(in_.ctx, in_.pipeline, adam_options(in_.options.optimizer), in_.options.optimizer.max_grad_norm,
            in_.options.schedule.gradient_accumulation_steps) {}

bool TrainingLoop::run() {
  const OutputOptions& output = in_.options.output;
  const EvaluationOptions& evaluation = in_.options.evaluation;
  resume();
  const int64_t first_step = state_.step;
  const auto start = Clock::now();
  Progress progress("train", total_steps_, first_step);

  while (state_.step < total_steps_) {
    train_one_step();
    const bool last = state_.step == total_steps_;
    progress.advance(1, str("loss ", fixed(last_loss_, 4)));
    if (state_.step == first_step + 5 && !last) announce_end(seconds_since(start), 5);

    if (due(output.logging_strategy, output.logging_steps) || (output.logging_first_step && state_.step == 1)) log_loss();
    if (due(evaluation.eval_strategy, *evaluation.eval_steps)) evaluate_and_log();
    const bool saved = due(output.save_strategy, output.save_steps);
    if (saved) save();
    if (in_.interrupted && in_.interrupted()) {
      if (!saved) save();
      log::info(str("interrupted: saved at step ", state_.step, " of ", total_steps_));
      return false;
    }
  }
  log_summary(seconds_since(start));
  if (evaluation.load_best_model_at_end) load_best();
  return true;
}

void TrainingLoop::resume() {
  state_.generator = sampler_.state();
  const std::vector<fs::path> checkpoints = list_checkpoints(in_.options.output.output_dir);
  if (checkpoints.empty()) return;
  const Checkpoint checkpoint = load_checkpoint(checkpoints.back(), in_.pipeline.backbone->info().input_width());
  state_ = checkpoint.state;
  take_weights(checkpoint.adapter.weights);
  sampler_.restore(state_.generator, state_.epoch);
  step_.restore(checkpoint.optimizer, state_.micro_steps);
  const OutputOptions& output = in_.options.output;
  if (output.save_total_limit) prune_checkpoints(output.output_dir, *output.save_total_limit, state_.best_checkpoint);
  log::info(str("going on from ", checkpoints.back().string()));
}

// This rank's part of the next micro-batch in the epoch's order.
std::span<const Example> TrainingLoop::next_micro_batch() {
  const int64_t count = static_cast<int64_t>(in_.train.examples.size()), part = in_.options.schedule.per_device_train_batch_size;
  const int64_t batch_begin = state_.batch * examples_per_batch(in_);
  const int64_t begin = std::min(batch_begin + rank(in_.ctx) * part, count), end = std::min(begin + part, count);
  micro_batch_.clear();
  for (int64_t i = begin; i < end; ++i) micro_batch_.push_back(in_.train.examples[sampler_.order()[i]]);
  if (++state_.batch == batches_per_epoch_) {
    sampler_.next_epoch();
    state_.batch = 0;
    ++state_.epoch;
    epoch_ended_ = true;
  }
  return micro_batch_;
}

// Micro-batches are counted over epochs' ends; an epoch shorter than a step ends in a step of its own (07, row 7).
void TrainingLoop::train_one_step() {
  const int64_t accumulation = in_.options.schedule.gradient_accumulation_steps;
  epoch_ended_ = false;
  judged_.reset();
  do {
    step_.accumulate(next_micro_batch());
  } while (step_.micro_steps() % accumulation != 0 && !(epoch_ended_ && batches_per_epoch_ <= accumulation));
  const at::Tensor loss = step_.update(rates());
  read_pending_loss();
  pending_loss_ = loss;
  ++state_.step;
}

void TrainingLoop::read_pending_loss() {
  if (!pending_loss_.defined()) return;
  last_loss_ = std::exchange(pending_loss_, {})[0].item<double>();
  if (!std::isfinite(last_loss_))
    fail(Code::bad_input, str("step ", state_.step), "a finite loss (a smaller learning rate may help)", str(last_loss_));
  state_.loss_sum += last_loss_;
}

std::vector<Rates> TrainingLoop::rates() const {
  const OptimizerOptions& o = in_.options.optimizer;
  const double factor = schedule_.factor(state_.step);
  return {{o.learning_rate * factor, o.lora_embedding_lr.value_or(o.learning_rate) * factor,
           o.head_learning_rate.value_or(o.learning_rate) * factor}};
}

// At a step's end; "epoch" is due at the first step that ends at or behind an epoch's end.
bool TrainingLoop::due(const std::string& strategy, int64_t every) const {
  return strategy == "steps" ? state_.step % every == 0 : strategy == "epoch" && epoch_ended_;
}

double TrainingLoop::epochs() const {
  return static_cast<double>(state_.epoch) + static_cast<double>(state_.batch) / static_cast<double>(batches_per_epoch_);
}

void TrainingLoop::log_loss() {
  read_pending_loss();
  const double loss = (state_.loss_sum - state_.logged_loss_sum) / static_cast<double>(state_.step - state_.logged_step);
  state_.logged_loss_sum = state_.loss_sum;
  state_.logged_step = state_.step;
  const double rate = rates()[0][static_cast<size_t>(Group::prompt)];
  state_.log.push_back({{"epoch", rounded(epochs(), 2)},
                        {"learning_rate", rate},
                        {"loss", rounded(loss, 4)},
                        {"loss_exact", loss},
                        {"step", state_.step}});
  log::info(str("step ", state_.step, "/", total_steps_, " epoch ", fixed(epochs(), 2), " loss ", fixed(loss, 4),
                " learning_rate ", rate));
}

void TrainingLoop::evaluate_and_log() {
  const auto start = Clock::now();
  const Evaluation evaluation =
      evaluate(in_.ctx, in_.pipeline, in_.rules, in_.task, in_.validation.texts, in_.validation.examples, "evaluate");
  judged_ = judgement(evaluation, judging_metric(in_));
  OrderedJson entry = {{"epoch", rounded(epochs(), 2)}};
  entry.update(evaluation_json(evaluation, "eval", seconds_since(start), in_.rules.batch_size));
  entry["step"] = state_.step;
  log::info(str("step ", state_.step, " ", entry.dump()));
  state_.log.push_back(std::move(entry));
}

bool TrainingLoop::better(double a, double b) const {
  return judging_metric(in_) == "loss" ? a < b : a > b;
}

void TrainingLoop::save() {
  read_pending_loss();
  state_.micro_steps = step_.micro_steps();
  state_.generator = sampler_.state();
  state_.epochs = epochs();
  if (judged_ && (!state_.best_metric || better(*judged_, *state_.best_metric))) {
    state_.best_metric = judged_;
    state_.best_checkpoint = checkpoint_name(state_.step);
  }
  if (rank(in_.ctx) != 0) return;
  const OutputOptions& output = in_.options.output;
  save_checkpoint(output.output_dir, state_, total_steps_, in_.config, in_.pipeline.weights, step_.state());
  if (output.save_total_limit) prune_checkpoints(output.output_dir, *output.save_total_limit, state_.best_checkpoint);
}

void TrainingLoop::load_best() {
  if (!state_.best_metric) return;
  const fs::path folder = fs::path(in_.options.output.output_dir) / state_.best_checkpoint;
  const Adapter best = load_adapter(folder, in_.pipeline.backbone->info().input_width());
  take_weights(best.weights);
  log::info(str("the best checkpoint is ", folder.string(), " (", *state_.best_metric, ")"));
}

void TrainingLoop::take_weights(const AdapterWeights& weights) const {
  for (const AdapterMember& member : adapter_members(weights.form))
    if (const at::Tensor& mine = in_.pipeline.weights.*member.tensor; mine.numel() > 0) mine.copy_(weights.*member.tensor);
}

void TrainingLoop::log_summary(double seconds) {
  read_pending_loss();
  state_.epochs = epochs();
  const double steps = static_cast<double>(state_.step);
  const double examples = steps * static_cast<double>(examples_per_batch(in_) * in_.options.schedule.gradient_accumulation_steps);
  state_.log.push_back({{"epoch", rounded(epochs(), 2)},
                        {"step", state_.step},
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
