// From a command to a list of runs, and all checks on the way.
#include <algorithm>
#include <set>

#include "dept/base/error.h"
#include "dept/base/log.h"
#include "dept/base/text.h"
#include "dept/train/identity.h"
#include "dept/train/run_data.h"
#include "dept/train/setup.h"
#include "dept/train/task_data.h"
#include "sweep/prepared.h"

namespace dept {
namespace {

OrderedJson value_json(const OptionValue& value) {
  if (value.kind == OptionValue::Kind::null) return nullptr;
  if (value.kind != OptionValue::Kind::list) return value.text;
  OrderedJson list = OrderedJson::array();
  for (const OptionValue& item : value.items) list.push_back(value_json(item));
  return list;
}

OrderedJson axis_json(const Axis& axis) {
  OrderedJson json = {{"distribution", static_cast<int>(axis.distribution)}};
  for (const OptionValue& value : axis.values) json["values"].push_back(value_json(value));
  if (axis.distribution == Distribution::int_uniform)
    json["range"] = {axis.whole_low, axis.whole_high};
  else if (!axis.listed())
    json["range"] = {axis.low, axis.high};
  return json;
}

// What decides the results beside train's options, flat as they are.
void note_spec(OrderedJson& options, const SweepSpec& spec) {
  const auto note = [&](const char* key, const OrderedJson& value) { options[str("sweep.", key)] = value; };
  const auto optional = [](const auto& value) { return value ? OrderedJson(*value) : OrderedJson(); };
  note("method", static_cast<int>(spec.method));
  note("metric", spec.metric);
  note("goal", optional(spec.maximize));
  for (const Axis& axis : spec.axes) options["sweep.parameters." + axis.option] = axis_json(axis);
  note("repeat", spec.repeat);
  note("run_cap", optional(spec.run_cap));
  note("seed", spec.seed);
  note("early_terminate", {spec.min_iter, spec.eta});
  note("budget.steps", optional(spec.budget_steps));
  note("budget.minutes", optional(spec.budget_minutes));
}

void warn_of_idle_keys(const OptionTree& tree, const SweepSpec& spec) {
  const auto idle = [&](const char* key, const char* why) {
    if (tree.find(key) != nullptr) log::warn(str(tree.where, ".", key, " has no effect: ", why));
  };
  if (spec.method == SweepMethod::grid) idle("run_cap", "a grid has all runs");
  if (spec.method == SweepMethod::grid || !spec.run_cap) idle("seed", "nothing is drawn");
  if (spec.method != SweepMethod::halving) idle("early_terminate", "method halving alone has rungs");
}

// The metric is one that this run's evaluations have.
void check_metric(const SweepSpec& spec, const TrainOptions& o) {
  if (spec.metric.empty() || spec.metric == "loss") return;
  const bool here = !is_on_hub(o.model.path());
  const bool head = here ? task_type(o, read_model_info(o.model.path())) == "SEQ_CLS" : o.adapter.task_type == "SEQ_CLS";
  const char* where = "sweep.metric.name";
  if (!head && o.evaluation.predict_by != "score" && !o.evaluation.predict_with_generate)
    fail(Code::usage, where, "loss, as --predict_with_generate false makes no predictions", quote(spec.metric));
  const std::vector<std::string> metrics = load_task(o.data, o.schedule.seed, {}, head).metrics;
  if (std::find(metrics.begin(), metrics.end(), spec.metric) == metrics.end())
    fail(Code::usage, where, str("loss, ", join(metrics, ", ")), quote(spec.metric));
}

void check_own_options(const Configuration& base, Problems& problems) {
  const OutputOptions& output = base.options.train.output;
  const auto unless = [&](bool good, const char* option, const char* expected, const std::string& received) {
    if (!good) problems.attempt([&] { fail(Code::usage, option, expected, received); });
  };
  unless(!output.resume_from_checkpoint, "--resume_from_checkpoint", "no checkpoint, as a sweep given again goes on by itself",
         quote(output.resume_from_checkpoint.value_or("")));
  unless(base.options.train.adapter.save_lora_embeddings || !output.do_predict || base.options.do_predict_all,
         "--save_lora_embeddings", "true, as the best run is tried on the test data from its files", "false");
}

// Mistakes of the files that a run names, and of the metric; the hub is not asked.
void check_files(const SweepSpec& spec, const TrainOptions& o, Problems& problems) {
  Problems own;
  own.attempt([&] { check_task(o.data, o.schedule.seed, {}); });
  const ModelOptions& model = o.model;
  if (!model.path().empty() && !is_on_hub(model.path()) && !is_on_hub(model.tokenizer_name) && !is_on_hub(model.peft_model_id))
    own.attempt([&] { check_model(model); });
  const bool has_metrics = o.data.named() ? !o.data.validation_split : !o.data.task.train_file.empty();
  if (own.empty() && has_metrics && !model.path().empty()) own.attempt([&] { check_metric(spec, o); });
  problems.attempt([&] { own.raise(); });
}

// Each value of the axes once, beside the first ones of the others.
std::vector<PlannedRun> values_in_turn(const SweepSpec& spec) {
  PlannedRun first;
  for (uint32_t i = 0; i < spec.axes.size(); ++i)
    first.values.push_back(spec.axes[i].listed() ? spec.axes[i].values.front() : draw_value(spec.axes[i], spec.seed, 0, i));
  std::vector<PlannedRun> runs = {first};
  for (size_t i = 0; i < spec.axes.size(); ++i)
    for (size_t value = 1; value < spec.axes[i].values.size(); ++value) {
      runs.push_back(first);
      runs.back().values[i] = spec.axes[i].values[value];
    }
  return runs;
}

// The runs' settings; of runs that read the same data and model one is checked against the files.
void check_runs(Sweep& sweep, const std::vector<PlannedRun>& runs, Problems& problems) {
  std::set<std::string> checked;
  std::vector<std::unique_ptr<Configuration>> to_check;
  for (const PlannedRun& run : runs) {
    auto configuration = run_configuration(sweep.command, sweep.spec, run, sweep.tests, problems);
    if (checked.insert(data_key(configuration->train(), configuration->set, {})).second)
      to_check.push_back(std::move(configuration));
  }
  for (const auto& configuration : to_check) check_files(sweep.spec, configuration->train(), problems);
  if (!problems.empty()) return;  // the hub is not asked
  sweep.threads = make_context(to_check.front()->train().model).threads;
  for (const auto& configuration : to_check) {
    problems.attempt([&] { check_training(configuration->train(), configuration->set); });
    if (!problems.empty()) return;
    problems.attempt([&] { check_metric(sweep.spec, configuration->train()); });
  }
}

}  // namespace

std::unique_ptr<Configuration> Sweep::configure(size_t place) const {
  Problems problems;
  auto configuration = run_configuration(command, spec, plan[place], tests_all, problems);
  problems.raise();
  int64_t& threads = configuration->train().model.threads;
  if (threads == 0) threads = threads_if_unnamed;
  return configuration;
}

std::vector<std::string> Sweep::axes() const {
  std::vector<std::string> names;
  for (const Axis& axis : spec.axes) names.push_back(axis.option);
  return names;
}

int sweep_threads(const Sweep& sweep) {
  return sweep.threads;
}
void set_sweep_threads(Sweep& sweep, int threads) {
  sweep.threads = sweep.threads_if_unnamed = threads;
}
fs::path sweep_folder(const Sweep& sweep) {
  return sweep.out;
}

std::shared_ptr<Sweep> prepare_sweep(const std::vector<std::string>& arguments, OptionSet& set, Problems& problems) {
  if (set.files().empty()) {
    problems.attempt([] { fail(Code::usage, "dept sweep", "a recipe with the key sweep", "none"); });
    return nullptr;
  }
  const log::Muted each_warning_once;
  auto sweep = std::make_shared<Sweep>();
  sweep->command = {arguments, set.files().front()};
  std::optional<OptionTree> tree;
  const bool read = problems.attempt([&] { tree = read_option_tree(sweep->command.recipe, "sweep"); });
  if (!tree && read)
    problems.attempt(
        [&] { fail(Code::usage, sweep->command.recipe.string(), "the key sweep, with method and parameters", "none"); });
  if (tree) sweep->spec = read_sweep_spec(*tree, set, problems);
  Problems again;  // those are known
  const std::unique_ptr<Configuration> base = base_configuration(sweep->command, again);
  check_own_options(*base, problems);
  if (problems.empty()) problems.attempt([&] { sweep->plan = plan_runs(sweep->spec); });
  const OutputOptions& output = base->train().output;
  sweep->tests = output.do_predict || base->options.do_predict_all;
  check_runs(*sweep, problems.empty() ? sweep->plan : values_in_turn(sweep->spec), problems);
  if (!problems.empty()) return nullptr;
  sweep->tests_all = base->options.do_predict_all;
  sweep->overwrite = output.overwrite_output_dir;
  sweep->reports = output.report;
  sweep->out = output.output_dir;
  sweep->identity.options = deciding_options(base->set);
  sweep->identity.options["do_predict_all"] = sweep->tests_all;
  note_spec(sweep->identity.options, sweep->spec);
  warn_of_idle_keys(*tree, sweep->spec);
  return sweep;
}

}  // namespace dept
