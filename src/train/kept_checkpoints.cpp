#include "dept/train/kept_checkpoints.h"

#include <algorithm>

#include "dept/base/log.h"
#include "dept/base/text.h"
#include "dept/dist/ranks.h"
#include "dept/train/marker.h"
#include "train/loop_rules.h"

namespace dept {

void KeptCheckpoints::save(const Step& step, std::optional<double> evaluated) {
  if (evaluated && (!state_.best_metric || better(*evaluated, *state_.best_metric))) {
    state_.best_metric = evaluated;
    state_.best_checkpoint = checkpoint_name(state_.step);
  }
  newest_ = state_.step;
  if (!is_first(in_.call.group)) return;
  const OutputOptions& output = in_.options.output;
  save_checkpoint(output.output_dir, state_, total_steps_, in_.config, in_.model.weights(), step.state());
  if (output.save_total_limit) prune_checkpoints(output.output_dir, *output.save_total_limit, state_.best_checkpoint);
}

Checkpoint KeptCheckpoints::resume(const fs::path& folder) {
  Checkpoint checkpoint = load_checkpoint(folder, in_.model.backbone().info().input_width());
  const double epochs = state_.num_train_epochs;
  state_ = checkpoint.state;
  state_.num_train_epochs = epochs;
  newest_ = state_.step;
  const fs::path output_dir = in_.options.output.output_dir;
  const bool lacks_best = !state_.best_checkpoint.empty() && !fs::exists(output_dir / state_.best_checkpoint);
  if (!from_first(in_.call.group, lacks_best ? "lacks it" : "").empty()) take_over_best(folder.parent_path());
  take_weights(checkpoint.adapter.weights);
  return checkpoint;
}

void KeptCheckpoints::drop_later() const {
  wait_for_all(in_.call.group);  // they have read the one that the run goes on from
  if (!is_first(in_.call.group)) return;
  const OutputOptions& output = in_.options.output;
  drop_later_checkpoints(output.output_dir, state_.step);
  if (output.save_total_limit) prune_checkpoints(output.output_dir, *output.save_total_limit, state_.best_checkpoint);
}

// The best checkpoint of another run, from which this one goes on: a copy, so that this folder stays whole without the other.
void KeptCheckpoints::take_over_best(const fs::path& run) {
  const fs::path best = run / state_.best_checkpoint;
  const fs::path output_dir = in_.options.output.output_dir;
  const bool same_data = same_contents(output_dir, run, "validation_file") && same_contents(output_dir, run, "validation");
  if (same_metric() && same_data && fs::exists(best / "training_state.json")) {
    if (is_first(in_.call.group)) copy_checkpoint(best, output_dir);
    return;
  }
  const std::string why = !same_metric() ? str("none by ", metric_for_best(in_))
                          : same_data    ? "not there"
                                         : "of other validation data";
  log::warn(str("the best checkpoint so far, ", best.string(), ", is ", why, ": the best is chosen of what follows"));
  state_.best_metric.reset();
  state_.best_checkpoint.clear();
}

// Whether the best so far was chosen by what chooses now: the log has its value under that name.
bool KeptCheckpoints::same_metric() const {
  const std::string name = "eval_" + metric_for_best(in_);
  return std::any_of(state_.log.begin(), state_.log.end(), [&](const OrderedJson& entry) {
    return checkpoint_name(entry.value("step", int64_t{0})) == state_.best_checkpoint && entry.contains(name) &&
           entry[name].is_number() && entry[name].get<double>() == *state_.best_metric;
  });
}

void KeptCheckpoints::load_best() const {
  if (!state_.best_metric) return;
  wait_for_all(in_.call.group);  // rank 0 may still be writing it
  const fs::path folder = fs::path(in_.options.output.output_dir) / state_.best_checkpoint;
  const Adapter best = load_adapter(folder, in_.model.backbone().info().input_width(), {.use = AdapterUse::training});
  take_weights(best.weights);
  log::info(str("the best checkpoint is ", folder.string(), " (", *state_.best_metric, ")"));
}

bool KeptCheckpoints::better(double a, double b) const {
  return greater_is_better(in_) ? a > b : a < b;
}

void KeptCheckpoints::take_weights(const AdapterWeights& weights) const {
  const std::vector<Parameter> mine = in_.model.weights().parameters(), theirs = weights.parameters();
  for (size_t i = 0; i < mine.size(); ++i) mine[i].value.copy_(theirs.at(i).value);
}

}  // namespace dept
