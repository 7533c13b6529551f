#include "sweep/outcome.h"

#include <algorithm>
#include <cstdio>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/train/checkpoint.h"

namespace dept {
namespace {

OrderedJson read_object(const fs::path& path) {
  read_json(path);  // strictly; it sorts the keys
  return OrderedJson::parse(read_file(path));
}

bool is_metric(const std::string& name, const std::string& prefix) {
  for (const char* part : {"_runtime", "_per_second", "_samples"})
    if (name.find(part) != std::string::npos) return false;
  return name.rfind(prefix, 0) == 0;
}

OrderedJson metrics_in(const OrderedJson& entry, const std::string& prefix) {
  OrderedJson metrics = OrderedJson::object();
  for (const auto& [name, value] : entry.items())
    if (is_metric(name, prefix)) metrics[name] = value;
  return metrics;
}

int64_t steps_in(const OrderedJson& state, const fs::path& folder) {
  return value_or<int64_t>(Json(state), "global_step", 0, (folder / "trainer_state.json").string());
}

// The newest evaluation of the log.
Evaluated newest(const OrderedJson& state, const fs::path& folder) {
  const OrderedJson log = state.value("log_history", OrderedJson::array());
  for (auto entry = log.rbegin(); entry != log.rend(); ++entry)
    if (entry->contains("eval_loss")) return {entry->value("step", int64_t{0}), metrics_in(*entry, "eval_")};
  fail(Code::bad_input, (folder / "trainer_state.json").string(), "an evaluation in log_history", "none");
}

std::string short_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

std::string metric_text(const RunRecord& run, const Ranking& ranking) {
  const OrderedJson& metrics = run.validation();
  const std::string name = ranking.name(metrics);
  return metrics.contains(name) && metrics[name].is_number() ? short_number(metrics[name].get<double>()) : "";
}

}  // namespace

fs::path run_folder(const fs::path& out, const RunRecord& run) {
  return out / "runs" / run.name;
}

OrderedJson test_metrics(const fs::path& out, const RunRecord& run) {
  return metrics_in(read_object(run_folder(out, run) / "test_results.json"), "test_");
}

void note_outcome(const fs::path& out, RunRecord& run, RunEnd end, const std::string& why, bool tested) {
  const fs::path folder = run_folder(out, run);
  const OrderedJson state = read_object(folder / "trainer_state.json");
  run.steps = steps_in(state, folder);
  switch (end) {
    case RunEnd::done:
    case RunEnd::done_before:
      run.end = "finished";
      run.last = {run.steps, metrics_in(read_object(folder / "eval_results.json"), "eval_")};
      if (tested) run.test = test_metrics(out, run);
      break;
    case RunEnd::paused:
      run.rungs.push_back(newest(state, folder));
      break;
    case RunEnd::diverged:
      run.end = "failed: " + why;
      break;
    case RunEnd::too_long:
      run.end = "budget";
      break;
    case RunEnd::interrupted:
      break;
  }
}

void prepare_folder(const fs::path& out, const RunRecord& run) {
  const fs::path folder = run_folder(out, run);
  if (!fs::exists(folder / "run.json")) fs::remove(folder / "trainer_state.json");
}

void end_by_budget(const fs::path& out, RunRecord& run) {
  const fs::path folder = run_folder(out, run), path = folder / "trainer_state.json";
  if (!fs::exists(path)) {
    require_writable_folder(folder);
    write_atomic(path, trainer_state_json(TrainState(), 0, folder).dump(2) + "\n");
  }
  run.steps = steps_in(read_object(path), folder);
  run.end = "budget";
}

std::string describe_run(const RunRecord& run, const Ranking& ranking) {
  std::string line = str(run.name, ": ", run.end, ", ", run.steps, " steps");
  if (const std::string metric = metric_text(run, ranking); !metric.empty())
    line += str(", ", ranking.name(run.validation()), " ", metric);
  return line;
}

void Progression::begin(const std::vector<size_t>& places) {
  if (!watch_.show) return;
  running_ = places.back();
  if (lines_.empty())
    for (const RunRecord& run : runs_) earlier_ += run.steps;
  lines_.resize(runs_.size());
  for (size_t i = 0; i < runs_.size(); ++i) {
    const RunRecord& run = runs_[i];
    SweepLine& line = lines_[i];
    line.name = run.name;
    const bool running = std::find(places.begin(), places.end(), i) != places.end();
    line.state = running ? "running" : !run.end.empty() ? run.end : run.steps > 0 ? "paused" : "waiting";
    line.step = run.steps;
    line.metric = metric_text(run, ranking_);
  }
  show();
}

void Progression::stepped(size_t place, int64_t step, int64_t steps, double loss) {
  ++done_;
  steps_of_run_ = steps;
  if (!watch_.show) return;
  SweepLine& line = lines_[place];
  line.step = step;
  line.steps = steps;
  line.loss = short_number(loss);
  show();
}

void Progression::show() const {
  SweepView view;
  for (const RunRecord& run : runs_)
    if (view.metric.empty()) view.metric = ranking_.name(run.validation());
  view.lines = lines_;
  view.running = running_;
  view.seconds_left = seconds_left();
  watch_.show(view);
}

// What all runs of this length would take, halving's rungs as planned.
int64_t Progression::planned_steps() const {
  const auto count = static_cast<int64_t>(runs_.size());
  if (sweep_.spec.method != SweepMethod::halving) return count * steps_of_run_;
  int64_t planned = 0, alive = count, before = 0;
  for (int64_t rung = sweep_.spec.min_iter; rung < steps_of_run_ && alive > 0; rung *= sweep_.spec.eta) {
    planned += alive * (rung - before);
    before = rung;
    alive = (alive + sweep_.spec.eta - 1) / sweep_.spec.eta;
    if (rung > steps_of_run_ / sweep_.spec.eta) break;
  }
  return planned + alive * (steps_of_run_ - before);
}

double Progression::seconds_left() const {
  if (done_ == 0) return -1;
  int64_t left = planned_steps();
  for (const SweepLine& line : lines_) left -= line.state == "waiting" ? 0 : line.step;
  for (const SweepLine& line : lines_)  // what ended early will not be taken
    if (sweep_.spec.method != SweepMethod::halving && line.state != "running" && line.state != "waiting" &&
        line.state != "paused")
      left -= steps_of_run_ - line.step;
  if (ranks_ > 1) left = (planned_steps() - earlier_) / ranks_ - done_;  // how far the others are is not known
  if (sweep_.spec.budget_steps) left = std::min(left, *sweep_.spec.budget_steps);
  const double elapsed = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  return std::max<double>(0, elapsed / static_cast<double>(done_) * static_cast<double>(left));
}

}  // namespace dept
