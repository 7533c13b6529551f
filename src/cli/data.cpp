// dept data: the named tasks, their examples as a model sees them, and their metrics.
#include <unistd.h>

#include <algorithm>

#include "cli/command.h"
#include "cli/frame.h"
#include "cli/lines.h"
#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/hub/hub.h"
#include "dept/tasks/named_task.h"

namespace dept {
namespace {

constexpr std::string_view data_list_usage =
    "Usage: dept data list [--task_file FILE] [--json]\nThe named tasks: data set, metrics, splits.\n";
constexpr std::string_view data_fetch_usage =
    "Usage: dept data fetch TASK|REPOSITORY [--config C] [--split S] [--cache_dir DIR]\n"
    "Brings the parquet files of a task's splits, or of a data set on the hub (as in nyu-mll/glue), into the cache.\n"
    "Prints one JSON object a split: repository, config, split and files.\n";
constexpr std::string_view data_show_usage =
    "Usage: dept data show TASK [--split S] [--train_file FILE ...] [--limit N] [--json] [--flags]\n"
    "A task's examples as source and target text, one JSON object a line (on a terminal without --json: as text).\n";
constexpr std::string_view data_score_usage =
    "Usage: dept data score TASK [--input FILE|-] [--output FILE|-]\n"
    "The task's metrics over lines {\"prediction\": \"..\", \"target\": \"..\"}, as one JSON object. A target may be a list of "
    "accepted\n"
    "answers; \"group\" names the question that answers belong to (em of superglue-multirc).\n";

struct DataCommand {
  NamedTaskOptions task;
  std::string split = "train", input, output;
  std::optional<std::string> config, hub_split;
  std::optional<int64_t> max_samples, limit;
  bool json = false, no_split_validation_test = false;
};

void describe_task(DataCommand& o, OptionSet& set) {
  set.section("Task");
  set.add("task_file", o.task.task_file, "tasks of your own, in the form of configs/tasks.yaml");
  set.add("original_quirks", o.task.original_quirks, "the original's text and draws where its code errs");
}

void describe_cache(DataCommand& o, OptionSet& set) {
  set.add("cache_dir", o.task.cache_dir, "where what comes from the hub is kept (default: as HF_HUB_CACHE or HF_HOME says)");
}

void describe_fetch(DataCommand& o, OptionSet& set) {
  set.add("task_file", o.task.task_file, "tasks of your own, in the form of configs/tasks.yaml");
  set.add("config", o.config, "of the data set (default: the task's; of a repository all)");
  set.add("split", o.hub_split, "the hub's name of one split (default: those that the task reads; of a repository all)");
  describe_cache(o, set);
}

void describe_show(DataCommand& o, OptionSet& set) {
  describe_task(o, set);
  set.add("split", o.split, "which examples").choices({"train", "validation", "test"});
  set.add("add_prefix", o.task.add_prefix, "put the task's name in front of each source");
  set.add("max_samples", o.max_samples, "take so many rows in random order").min(1);
  set.add("k_shot_examples", o.task.k_shot_examples, "draw so many training examples, the same number of each class")
      .alias("k_shot_example")
      .min(1);
  set.add("seed", o.task.seed, "of that draw").min(0);
  set.add("split_validation_test", o.task.split_validation_test,
          "make validation and test data of a part of validation or train where a task has no labelled test data");
  set.add("no_split_validation_test", o.no_split_validation_test, "the same as --split_validation_test false");
  set.section("Data");
  set.add("train_file", o.task.train_file,
          "rows in the place of the train split: csv, tsv, json, jsonl (each also as .gz) or parquet")
      .whole_values();
  set.add("validation_file", o.task.validation_file, "rows in the place of the validation split").whole_values();
  set.add("test_file", o.task.test_file, "rows in the place of the test split").whole_values();
  set.add("delimiter", o.task.delimiter, "between the cells of a delimited file: one character, or tab");
  set.add("quoting", o.task.quoting, "whether quotes enclose cells (minimal) or are plain characters (none)")
      .choices({"minimal", "none"});
  describe_cache(o, set);
  set.section("Output");
  set.add("limit", o.limit, "show the first so many examples only").min(1);
  set.add("json", o.json, "JSON lines, on a terminal as well");
}

std::string dumped(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

std::string_view rule(const TaskDescription& task) {
  if (task.sees_images()) return "files of its own";
  switch (task.divide) {
    case Divide::validation:
      return "validation in halves";
    case Divide::train:
      return "1,000 of train validate";
    case Divide::none:
      return "the hub's splits";
  }
  return "";
}

OrderedJson task_json(const TaskDescription& task) {
  OrderedJson splits = OrderedJson::object();
  for (const SplitName split : {SplitName::train, SplitName::validation, SplitName::test})
    splits[std::string(to_string(split))] = task.split(split).empty() ? OrderedJson() : OrderedJson(task.split(split));
  return {{"name", task.name},     {"repository", task.repository}, {"config", task.config},   {"source", task.source},
          {"target", task.target}, {"labels", task.labels},         {"metrics", task.metrics}, {"splits", splits},
          {"divide", rule(task)}};
}

std::string padded(std::string text, size_t width) {
  text.resize(std::max(width, text.size() + 1), ' ');
  return text;
}

std::vector<TaskDescription> all_tasks(Quirks quirks) {
  std::vector<TaskDescription> tasks = built_in_tasks(quirks);
  for (TaskDescription& task : image_tasks()) tasks.push_back(std::move(task));
  return tasks;
}

int list(const std::vector<std::string>& arguments) {
  DataCommand o;
  OptionSet set;
  describe_task(o, set);
  set.add("json", o.json, "one JSON object a task");
  if (!read_command_line(set, arguments,
                         {data_list_usage, false, 0, "  dept data list\n  dept data list --task_file mine.yaml --json\n"}))
    return 0;
  std::string out;
  for (const TaskDescription& task :
       o.task.task_file ? read_task_file(*o.task.task_file, o.task.quirks()) : all_tasks(o.task.quirks()))
    out += o.json ? dumped(task_json(task))
                  : str(padded(task.name, 21), padded(str(task.repository, " ", task.config), 46),
                        padded(join(task.metrics, ", "), 28), rule(task), "\n");
  write_stdout(out);
  return 0;
}

// The splits that a task reads, or all of a repository, as far as --config and --split let them through.
std::vector<ParquetSplit> splits_to_fetch(const std::string& name, const DataCommand& o, const HubOptions& hub) {
  std::vector<ParquetSplit> splits;
  if (name.find('/') == name.npos) {
    const TaskDescription task = find_task(name, o.task.task_file, Quirks());
    for (const std::string& split : task.splits)
      if (!split.empty()) splits.push_back({task.repository, o.config.value_or(task.config), split});
    if (o.hub_split) splits = {{task.repository, o.config.value_or(task.config), *o.hub_split}};
  } else if (o.config && o.hub_split) {
    splits = {{name, *o.config, *o.hub_split}};
  } else {
    splits = list_parquet(hub, name);
    std::erase_if(splits, [&](const ParquetSplit& split) {
      return (o.config && split.config != *o.config) || (o.hub_split && split.split != *o.hub_split);
    });
  }
  if (splits.empty())
    fail(Code::usage, name, "a --config and a --split that the data set has",
         str("config ", o.config.value_or("any"), ", split ", o.hub_split.value_or("any")));
  return splits;
}

int fetch(const std::vector<std::string>& arguments) {
  DataCommand o;
  OptionSet set;
  describe_fetch(o, set);
  const auto names = read_command_line(
      set, arguments,
      {data_fetch_usage, false, 1, "  dept data fetch sst2\n  dept data fetch nyu-mll/glue --config rte --split validation\n"});
  if (!names) return 0;
  const HubOptions hub = hub_options(o.task.cache_dir);
  std::vector<std::string> done;
  for (const ParquetSplit& split : splits_to_fetch(names->empty() ? "" : names->front(), o, hub)) {
    OrderedJson line{{"repository", split.repository}, {"config", split.config}, {"split", split.split}};
    if (std::find(done.begin(), done.end(), split.split + "/" + split.config) != done.end()) continue;
    done.push_back(split.split + "/" + split.config);
    line["files"] = OrderedJson::array();
    for (const fs::path& file : fetch_parquet(hub, split)) line["files"].push_back(file.string());
    write_stdout(dumped(line));
  }
  return 0;
}

SplitName split_name(const std::string& name) {
  return name == "train" ? SplitName::train : name == "validation" ? SplitName::validation : SplitName::test;
}

std::string shown_text(const TextExample& example) {
  const std::string image = example.image.empty() ? "" : str("  image   ", quote(example.image, SIZE_MAX), "\n");
  return str(example.index, "\n  source  ", quote(example.source, SIZE_MAX), "\n  target  ", quote(example.target, SIZE_MAX),
             "\n", image);
}

OrderedJson shown_json(const TextExample& example) {
  OrderedJson json = {{"index", example.index}, {"source", example.source}, {"target", example.target}};
  if (!example.image.empty()) json["image"] = example.image;
  return json;
}

int show(const std::vector<std::string>& arguments) {
  DataCommand o;
  OptionSet set;
  describe_show(o, set);
  const auto names = read_command_line(set, arguments,
                                       {data_show_usage, false, 1,
                                        "  dept data show rte --split validation --limit 5\n  dept data show sst2 --train_file "
                                        "rows.csv --k_shot_examples 16 --seed 1\n"});
  if (!names) return 0;
  o.task.task_name = names->empty() ? "" : names->front();
  o.task.split_validation_test &= !o.no_split_validation_test;
  o.task.max_train_samples = o.task.max_eval_samples = o.task.max_predict_samples = o.max_samples;
  const SplitName split = split_name(o.split);
  if (split != SplitName::train) set.warn_idle("k_shot_examples", "--split is " + o.split);
  if (split != SplitName::train || !o.task.k_shot_examples) set.warn_idle("seed", "nothing is drawn by it");
  check_named_task(o.task, {split});
  std::vector<TextExample> examples = load_named_split(o.task, split);
  if (o.limit && *o.limit < static_cast<int64_t>(examples.size())) examples.resize(static_cast<size_t>(*o.limit));
  const bool as_text = !o.json && ::isatty(STDOUT_FILENO) == 1;
  for (const TextExample& example : examples) write_stdout(as_text ? shown_text(example) : dumped(shown_json(example)));
  return 0;
}

// The accepted answers of a line, the first of which is its target.
std::vector<std::string> targets_of(const Json& line, const std::string& where) {
  const auto target = line.find("target");
  if (target == line.end() || !target->is_array()) return {require<std::string>(line, "target", where)};
  std::vector<std::string> answers = require<std::vector<std::string>>(line, "target", where);
  if (answers.empty()) fail(Code::bad_input, str(where, ": target"), "at least one answer", "none");
  return answers;
}

struct Evaluated {
  std::vector<std::string> predictions, targets;
  MetricExtras extras;
};

Evaluated read_evaluated(const std::string& path) {
  LineReader reader(path);
  Evaluated evaluated;
  while (const auto line = reader.next_json()) {
    const std::string where = reader.where();
    evaluated.predictions.push_back(require<std::string>(*line, "prediction", where));
    evaluated.extras.answers.push_back(targets_of(*line, where));
    evaluated.targets.push_back(evaluated.extras.answers.back().front());
    const auto group = line->find("group");
    if (group != line->end()) evaluated.extras.groups.push_back(group->is_string() ? group->get<std::string>() : group->dump());
    if (!evaluated.extras.groups.empty() && evaluated.extras.groups.size() != evaluated.predictions.size())
      fail(Code::bad_input, where, "a group in every line or in none", "some");
  }
  if (evaluated.predictions.empty()) fail(Code::bad_input, reader.where(), "at least one line", "none");
  return evaluated;
}

int score(const std::vector<std::string>& arguments) {
  DataCommand o;
  OptionSet set;
  describe_task(o, set);
  set.section("Lines");
  set.add("input", o.input, "file to read; stdin when not given");
  set.add("output", o.output, "file to write; stdout when not given");
  const auto names = read_command_line(
      set, arguments, {data_score_usage, false, 1, "  dept data score rte --input runs/rte/generated_predictions.jsonl\n"});
  if (!names) return 0;
  const TaskDescription task = find_task(names->empty() ? "" : names->front(), o.task.task_file, o.task.quirks());
  const Evaluated evaluated = read_evaluated(o.input);
  OrderedJson metrics = OrderedJson::object();
  for (const std::string& name : task.metrics)
    if (name != "em" || task.labels.empty() || !evaluated.extras.groups.empty())
      metrics[name] = compute_metric(name, evaluated.predictions, evaluated.targets, task.labels, evaluated.extras);
  LineWriter writer(o.output);
  writer.write(metrics);
  writer.commit();
  return 0;
}

}  // namespace

int run_data(const std::vector<std::string>& arguments) {
  const std::string action = arguments.empty() ? "" : arguments.front();
  const std::vector<std::string> rest(arguments.begin() + !arguments.empty(), arguments.end());
  if (action == "list") return list(rest);
  if (action == "fetch") return fetch(rest);
  if (action == "show") return show(rest);
  if (action == "score") return score(rest);
  if (action == "--help" || action == "-h")
    return write_stdout(str(data_list_usage, "\n", data_fetch_usage, "\n", data_show_usage, "\n", data_score_usage)), 0;
  fail(Code::usage, "dept data", "list, fetch, show or score", action.empty() ? "nothing" : quote(action));
}

}  // namespace dept
