#include "train/loop_rules.h"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <sstream>
#include <tuple>

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {
namespace {

int64_t ranks(const Call& call) {
  return call.group == nullptr ? 1 : call.group->size();
}

int64_t scheduled_steps(const TrainOptions& o, int64_t total) {
  return quirks_of(o.data).schedules_minus_one_steps() && o.schedule.max_steps < 0 ? -1 : total;
}

}  // namespace

double epochs_of(const ScheduleOptions& schedule, int64_t steps, int64_t batches) {
  if (schedule.max_steps <= 0) return schedule.num_train_epochs;
  const int64_t per_epoch = std::max<int64_t>(1, batches / schedule.gradient_accumulation_steps);
  return static_cast<double>((steps + per_epoch - 1) / per_epoch);
}

int64_t examples_per_batch(const LoopInputs& in) {
  return in.options.schedule.per_device_train_batch_size * ranks(in.call);
}

int64_t count_batches(const LoopInputs& in) {
  const int64_t size = examples_per_batch(in), count = static_cast<int64_t>(in.train.examples.size());
  if (!in.options.schedule.dataloader_drop_last) return (count + size - 1) / size;
  if (count < size)
    fail(Code::bad_input, "training data", str("a full batch of ", size, " for --dataloader_drop_last"), str(count, " examples"));
  return count / size;
}

uint64_t order_seed(const ScheduleOptions& schedule) {
  return schedule.data_seed ? static_cast<uint64_t>(*schedule.data_seed)
                            : EpochSampler::generator_seed(static_cast<uint64_t>(schedule.seed));
}

Rates base_rates(const OptimizerOptions& o) {
  return {o.learning_rate, o.lora_embedding_lr.value_or(o.learning_rate), o.head_learning_rate.value_or(o.learning_rate),
          o.visual_learning_rate.value_or(o.learning_rate)};
}

AdamOptions adam_options(const OptimizerOptions& o) {
  return {parse_optim(o.optim), o.adam_beta1, o.adam_beta2, o.adam_epsilon, o.apply_weight_decay ? o.weight_decay : 0};
}

std::string metric_for_best(const LoopInputs& in) {
  const std::string& name = in.options.evaluation.metric_for_best_model;
  if (!name.empty()) return name.rfind("eval_", 0) == 0 ? name.substr(5) : name;
  return in.rules.by == PredictBy::nothing || in.task.metrics.empty() ? "loss" : in.task.metrics.front();
}

bool greater_is_better(const LoopInputs& in) {
  return in.options.evaluation.greater_is_better.value_or(metric_for_best(in) != "loss");
}

bool groups_by_length(const ScheduleOptions& schedule) {
  return schedule.train_sampling_strategy == "group_by_length";
}

int64_t input_tokens(const LoopInputs& in, const Example& example) {
  const EncodeRules& rules = in.model.rules();
  if (rules.quirks.pads_to_max_length()) return rules.max_source;
  return example.read_tokens() + (rules.encoder_decoder() ? 0 : static_cast<int64_t>(example.target.size()));
}

int64_t counted_parameters(const LoopInputs& in) {
  const ModelInfo& info = in.model.backbone().info();
  int64_t head = 0;
  for (const Parameter& parameter : head_parameters(in.model.weights().head)) head += parameter.value[0].numel();
  const int64_t unused = in.model.has_head() && !info.tied ? info.vocab * info.hidden : 0;
  return info.parameters - info.embedding_parameters - unused + head * (in.model.rules().quirks.counts_head_twice() ? 2 : 1);
}

std::string scheduling_metric(const LoopInputs& in) {
  return in.options.evaluation.metric_for_best_model.empty() ? "loss" : metric_for_best(in);
}

std::optional<MetricSchedule> metric_schedule(const LoopInputs& in) {
  const auto& [type, arguments] = std::tie(in.options.schedule.lr_scheduler_type, in.options.schedule.lr_scheduler_kwargs);
  if (!follows_metric(type)) return std::nullopt;
  const bool greater = !in.options.evaluation.metric_for_best_model.empty() && greater_is_better(in);
  return MetricSchedule(parse_metric_schedule(type, arguments, greater), base_rates(in.options.optimizer));
}

Schedule step_schedule(const LoopInputs& in, int64_t steps) {
  const ScheduleOptions& o = in.options.schedule;
  const double rate = in.options.optimizer.learning_rate;
  if (follows_metric(o.lr_scheduler_type)) return {"constant", 0, steps, rate};
  return {o.lr_scheduler_type, warmup_steps(o.warmup_steps, o.warmup_ratio, steps), scheduled_steps(in.options, steps), rate,
          parse_schedule_arguments(o.lr_scheduler_type, o.lr_scheduler_kwargs)};
}

double metric_value(const Evaluation& evaluation, const std::string& name) {
  if (name == "loss") return evaluation.loss;
  for (const auto& [metric, value] : evaluation.metrics)
    if (metric == name) return value;
  fail(Code::usage, "metric_for_best_model", "loss or a metric of the task", quote(name));
}

std::string fixed(double value, int digits) {
  std::ostringstream out;
  out << std::fixed << std::setprecision(digits) << value;
  return out.str();
}

Timetable timetable(const TrainOptions& o) {
  const auto parse = [](const std::string& strategy) {
    return strategy == "steps" ? When::steps : strategy == "epoch" ? When::epoch : When::never;
  };
  const OutputOptions& output = o.output;
  Timetable times;
  times.logs = parse(output.logging_strategy);
  times.evaluates = parse(o.evaluation.eval_strategy);
  times.saves_best = output.save_strategy == "best";
  times.saves = times.saves_best ? times.evaluates : parse(output.save_strategy);
  times.logs_first_step = output.logging_first_step;
  times.logging_steps = output.logging_steps;
  times.eval_steps = o.evaluation.eval_steps.value_or(output.logging_steps);
  times.save_steps = output.save_steps;
  times.eval_delay = o.evaluation.eval_delay;
  return times;
}

int64_t total_steps(const ScheduleOptions& options, int64_t batches_per_epoch) {
  if (options.max_steps > 0) return options.max_steps;
  const int64_t per_epoch = std::max<int64_t>(1, batches_per_epoch / options.gradient_accumulation_steps);
  return static_cast<int64_t>(std::ceil(options.num_train_epochs * static_cast<double>(per_epoch)));
}

int64_t stale_evaluations(int64_t so_far, std::optional<double> best, double value, bool greater_is_better, double threshold) {
  const bool better = !best || (greater_is_better ? value > *best : value < *best);
  return better && (!best || std::abs(value - *best) > threshold) ? 0 : so_far + 1;
}

fs::path checkpoint_to_resume(const OutputOptions& output) {
  if (output.output_dir.empty()) return {};  // a run in memory
  const std::string wanted = output.resume_from_checkpoint.value_or("");
  const bool newest = wanted.empty() || wanted == "true" || wanted == "True" || wanted == "false" || wanted == "False";
  if (!newest) {
    if (!fs::exists(fs::path(wanted) / "training_state.json"))
      fail(Code::io, "resume_from_checkpoint", "a checkpoint's folder, or true", quote(wanted));
    return wanted;
  }
  const std::vector<fs::path> checkpoints = list_checkpoints(output.output_dir);
  if (checkpoints.empty() && (wanted == "true" || wanted == "True"))
    fail(Code::io, "resume_from_checkpoint", str("a checkpoint in ", output.output_dir), "none");
  return checkpoints.empty() ? fs::path() : checkpoints.back();
}

}  // namespace dept
