#include "report/comparison.h"

#include <algorithm>
#include <cmath>

#include "dept/base/text.h"
#include "report/html.h"

namespace dept {
namespace {

using Names = std::vector<std::string>;

bool holds(const Names& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// The first metric of the validation data, else of the test data, else a loss.
std::string first_metric(const std::vector<ComparedRun>& runs) {
  for (const char* prefix : {"eval_", "test_"})
    for (const ComparedRun& run : runs)
      for (const auto& [name, value] : run.metrics)
        if (name.rfind(prefix, 0) == 0 && is_metric(name)) return name;
  for (const char* loss : {"eval_loss", "test_loss"})
    for (const ComparedRun& run : runs)
      if (find_figure(run.metrics, loss) != nullptr) return loss;
  return "";
}

// Validation alone chooses a best one.
void mark_best(Comparison& comparison) {
  if (comparison.metric.rfind("eval_", 0) != 0) return;
  ComparedRun* best = nullptr;
  double figure = 0;
  for (ComparedRun& run : comparison.runs) {
    const double* value = find_figure(run.metrics, comparison.metric);
    if (value == nullptr || (best != nullptr && !(comparison.maximize ? *value > figure : *value < figure))) continue;
    best = &run;
    figure = *value;
  }
  if (best != nullptr && comparison.runs.size() > 1) best->best = true;
}

Figures compared(const Figures& results) {
  Figures kept;
  for (const auto& [name, value] : results)
    if (is_metric(name) || name == "eval_loss" || name == "test_loss") kept.emplace_back(name, value);
  return kept;
}

// What several runs of one folder name are called.
std::string unique_name(const std::vector<ComparedRun>& runs, const std::string& name) {
  const auto taken = [&](const std::string& wanted) {
    return std::any_of(runs.begin(), runs.end(), [&](const ComparedRun& run) { return run.name == wanted; });
  };
  if (!taken(name)) return name;
  for (int i = 2;; ++i)
    if (const std::string other = str(name, " (", i, ")"); !taken(other)) return other;
}

// What sweep.json's options say of the sweep itself.
struct SweepKeys {
  Names axes, repeat;
  std::string metric;  // with its eval_; "" the first
  std::optional<bool> maximize;
};

SweepKeys keys_of(const OrderedJson& state) {
  constexpr std::string_view axis = "sweep.parameters.";
  SweepKeys keys;
  if (!state.contains("options") || !state["options"].is_object()) return keys;
  for (const auto& [key, value] : state["options"].items()) {
    if (key.rfind(axis, 0) == 0) keys.axes.push_back(key.substr(axis.size()));
    if (key == "sweep.repeat" && value.is_array())
      for (const OrderedJson& name : value) keys.repeat.push_back(html::shown(name));
    if (key == "sweep.metric" && value.is_string() && value != "") keys.metric = "eval_" + value.get<std::string>();
    if (key == "sweep.goal" && value.is_boolean()) keys.maximize = value.get<bool>();
  }
  return keys;
}

ComparedRun compared_line(const OrderedJson& line, const ReportedRun& run, const Names& axes) {
  ComparedRun one{&run, html::shown(line["name"]), {}, "", "", {}, {}, false};
  for (const std::string& axis : axes) one.values.push_back(line.contains(axis) ? html::shown(line[axis]) : "");
  if (line.contains("steps")) one.steps = html::shown(line["steps"]);
  if (line.contains("end")) one.end = html::shown(line["end"]);
  for (const auto& [name, value] : line.items())
    if (!holds(axes, name) && value.is_number() && (name.rfind("eval_", 0) == 0 || name.rfind("test_", 0) == 0))
      one.metrics.emplace_back(name, value.get<double>());
  if (line.contains("seconds") && line["seconds"].is_number()) one.seconds = line["seconds"].get<double>();
  one.best = line.contains("best") && line["best"].is_boolean() && line["best"].get<bool>();
  return one;
}

void choose_metric(Comparison& comparison, const SweepKeys& keys) {
  comparison.metric = keys.metric.empty() ? first_metric(comparison.runs) : keys.metric;
  comparison.maximize = keys.maximize.value_or(comparison.metric != "eval_loss" && comparison.metric != "test_loss");
}

bool divides(const std::string& axis) {
  return axis == "task_name" || axis == "train_file";
}

}  // namespace

std::vector<double> RunGroup::figures(const std::string& metric) const {
  std::vector<double> values;
  for (const ComparedRun* run : runs)
    if (const double* value = find_figure(run->metrics, metric)) values.push_back(*value);
  return values;
}

std::vector<RunGroup> groups_of(const Comparison& comparison) {
  std::vector<RunGroup> groups;
  for (const ComparedRun& run : comparison.runs) {
    std::vector<std::string> values, words;
    for (size_t i = 0; i < comparison.axes.size(); ++i) {
      if (holds(comparison.repeat, comparison.axes[i])) continue;
      values.push_back(run.values[i]);
      words.push_back(str(comparison.axes[i], " ", run.values[i]));
    }
    auto group = std::find_if(groups.begin(), groups.end(), [&](const RunGroup& one) { return one.values == values; });
    if (group == groups.end()) group = groups.insert(groups.end(), {values, words.empty() ? "all" : join(words, ", "), {}});
    group->runs.push_back(&run);
  }
  return groups;
}

Comparison compare_runs(const std::vector<ReportedRun>& runs) {
  Comparison comparison;
  comparison.title = str(runs.size(), " runs");
  for (const ReportedRun& run : runs)
    for (const auto& [name, value] : run.options.items()) {
      const auto same = [&, &name = name](const ReportedRun& other) { return other.option(name) == runs.front().option(name); };
      if (!holds(comparison.axes, name) && !std::all_of(runs.begin(), runs.end(), same)) comparison.axes.push_back(name);
    }
  for (const ReportedRun& run : runs) {
    ComparedRun one{&run, unique_name(comparison.runs, run.name), {}, "", "", {}, compared(run.results), false};
    if (const double* seconds = find_figure(run.results, "train_runtime")) one.seconds = *seconds;
    for (const std::string& axis : comparison.axes) one.values.push_back(run.option(axis));
    comparison.runs.push_back(std::move(one));
  }
  if (holds(comparison.axes, "seed")) comparison.repeat = {"seed"};
  choose_metric(comparison, {});
  mark_best(comparison);
  return comparison;
}

std::vector<Comparison> compare_sweep(const ReportedSweep& sweep) {
  const SweepKeys keys = keys_of(sweep.state);
  const auto task = std::find_if(keys.axes.begin(), keys.axes.end(), divides);
  Names axes = keys.axes;
  std::erase_if(axes, divides);
  std::vector<Comparison> tasks;
  for (size_t i = 0; i < sweep.lines.size(); ++i) {
    const OrderedJson& line = sweep.lines[i];
    const std::string title = task == keys.axes.end() || !line.contains(*task) ? sweep.name : html::shown(line[*task]);
    auto one = std::find_if(tasks.begin(), tasks.end(), [&](const Comparison& other) { return other.title == title; });
    if (one == tasks.end()) one = tasks.insert(tasks.end(), {title, axes, keys.repeat, {}, "", true});
    one->runs.push_back(compared_line(line, sweep.runs[i], axes));
  }
  for (Comparison& one : tasks) choose_metric(one, keys);
  return tasks;
}

const ComparedRun* best_of(const Comparison& comparison) {
  const auto best = std::find_if(comparison.runs.begin(), comparison.runs.end(), [](const ComparedRun& run) { return run.best; });
  return best == comparison.runs.end() ? nullptr : &*best;
}

}  // namespace dept
