#include "dept/train/task_data.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "dept/base/error.h"
#include "dept/base/json.h"
#include "dept/base/log.h"
#include "dept/base/text.h"
#include "dept/tasks/k_shot.h"
#include "dept/tasks/number_text.h"
#include "dept/tasks/validation_split.h"
#include "dept/train/setup.h"

namespace dept {
namespace {

constexpr std::string_view hidden_label = "-1";

// Tasks of the original that its own tables of metrics and columns do not let it train (docs/parity.md).
constexpr std::array<std::string_view, 4> untrainable = {"piqa", "social_i_qa", "commonsense_qa", "drop"};

void check_original_trains(const DataOptions& data) {
  if (!quirks_of(data).refuses_to_train_on_some_tasks() || data.task_file) return;
  if (std::find(untrainable.begin(), untrainable.end(), *data.task_name) != untrainable.end())
    fail(Code::usage, "original_quirks", "a task that the original can train", *data.task_name);
}

AnswerClasses classes_of(const TaskData& task) {
  return {task.label_words, task.numeric()};
}

void cut(std::vector<TextExample>& examples, std::optional<int64_t> most) {
  if (most && *most < static_cast<int64_t>(examples.size())) examples.resize(static_cast<size_t>(*most));
}

TaskData load_own_files(const DataOptions& data, int64_t seed, bool head) {
  TaskData task = load_file_task(data.task);
  if (head && task.free_text() && data.task.metrics.empty()) task.metrics = regression_metrics;
  if (data.validation_split && !task.train.empty())
    task.validation = take_validation(task.train, classes_of(task), {*data.validation_split, seed});
  cut(task.train, data.max_train_samples);
  cut(task.validation, data.max_eval_samples);
  cut(task.test, data.max_predict_samples);
  if (!data.k_shot_examples || task.train.empty()) return task;
  check_k_shot(*data.k_shot_examples, classes_of(task), "free text");
  task.train =
      draw_k_shot(task.train, classes_of(task), {*data.k_shot_examples, seed, quirks_of(data).draws_last_shot_of_any_class()});
  return task;
}

// Rows whose label the hub hides have nothing that a head could learn or be evaluated by.
void drop_hidden_labels(TaskData& task) {
  for (std::vector<TextExample>* rows : {&task.train, &task.validation, &task.test}) {
    const size_t dropped = std::erase_if(*rows, [](const TextExample& row) { return row.target == hidden_label; });
    if (dropped > 0) log::info(str(task.name, ": ", dropped, " rows with a hidden label are left out"));
  }
}

// A label for a line that holds several.
std::string shortened(const std::string& label, size_t most) {
  if (label.size() <= most) return label;
  size_t end = most;
  while (end > 0 && (static_cast<uint8_t>(label[end]) & 0xC0) == 0x80) --end;  // between characters
  return label.substr(0, end) + "...";
}

// "a 3, b 2": of the training data each label, of others the first few.
std::string label_counts(const TaskData& task, std::span<const TextExample> rows, bool training) {
  const size_t most = training ? 1000 : 10, longest = training ? 200 : 30;
  std::vector<int64_t> counts(task.labels.size(), 0);
  for (const TextExample& row : rows) {
    const auto word = std::find(task.label_words.begin(), task.label_words.end(), row.target);
    if (word != task.label_words.end()) ++counts[static_cast<size_t>(word - task.label_words.begin())];
  }
  std::vector<std::string> parts;
  for (size_t i = 0; i < counts.size() && i < most; ++i) parts.push_back(str(shortened(task.labels[i], longest), " ", counts[i]));
  if (counts.size() > most) parts.push_back(str("... of ", counts.size(), " labels"));
  return join(parts, ", ");
}

// "2 of 6 texts (33.3 %)".
std::string share_of(int64_t count, size_t all, std::string_view what) {
  const double tenths = std::round(1000.0 * static_cast<double>(count) / static_cast<double>(all)) / 10;
  return str(count, " of ", all, " ", what, " (", tenths, " %)");
}

}  // namespace

void check_label_ids(const Tokenizer& tokenizer, const EncodeRules& rules, const std::vector<std::string>& labels,
                     const std::vector<std::string>& label_words) {
  const std::vector<std::string>& words = label_words.empty() ? labels : label_words;
  const std::vector<Ids> ids = encode_targets(tokenizer, rules, words, 1);
  std::map<Ids, size_t> seen;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (rules.vocab > 0) check_ids(tokenizer, ids[i], rules.vocab, "label " + quote(labels[i]));
    const auto [other, fresh] = seen.emplace(ids[i], i);
    if (!fresh)
      fail(Code::bad_input, "labels", "labels whose tokens differ",
           str(quote(labels[other->second]), " and ", quote(labels[i]), ", both ids ", Json(ids[i]).dump(),
               " (--label_words says them in other words)"));
  }
}

SplitReport report_split(std::string_view name, const TaskData& task, std::span<const TextExample> rows,
                         std::span<const Example> examples, const Cuts& cuts, const EncodeRules& rules, int64_t longest_answer) {
  SplitReport report;
  const std::string labels = task.free_text() || task.numeric() ? "" : str(" (", label_counts(task, rows, name == "train"), ")");
  report.counts = str(name, ": ", rows.size(), " examples", labels);
  if (cuts.sources == 0)
    report.cut = str(name, ": 0 of ", rows.size(), " texts are longer than max_seq_length ", rules.max_source, " and cut");
  else
    report.warnings.push_back(str(name, ": ", share_of(cuts.sources, rows.size(), "texts"), " are longer than max_seq_length ",
                                  rules.max_source, " and cut"));
  if (cuts.targets > 0)
    report.warnings.push_back(str(name, ": ", share_of(cuts.targets, rows.size(), "answers"), " are longer than ",
                                  rules.encoder_decoder() ? "generation_max_length " : "max_seq_length ",
                                  rules.encoder_decoder() ? rules.max_target : rules.max_source, " and cut"));
  if (rules.head || rules.encoder_decoder() || !task.free_text() || name == "train") return report;
  const int64_t end = rules.end_id ? 1 : 0;
  const auto too_long = std::count_if(examples.begin(), examples.end(), [&](const Example& example) {
    return static_cast<int64_t>(example.target.size()) - end > longest_answer;
  });
  if (too_long > 0)
    report.warnings.push_back(str(name, ": ", share_of(too_long, rows.size(), "answers"),
                                  " are longer than generation_max_length ", longest_answer,
                                  ", so that none generated can equal them"));
  return report;
}

std::string question_labels(const TaskData& task) {
  const auto number = [](const std::string& label) { return number_of<double>(label).has_value(); };
  if (task.free_text() || !std::all_of(task.labels.begin(), task.labels.end(), number) || all_integers(task.labels)) return "";
  std::vector<std::string> some(task.labels.begin(), task.labels.begin() + std::min<ptrdiff_t>(3, std::ssize(task.labels)));
  return str("the labels look like numbers (", join(some, ", "), task.labels.size() > some.size() ? ", ..." : "",
             "): --metrics pearson learns and judges them as numbers");
}

NamedTaskOptions named_task(const DataOptions& data, int64_t seed) {
  NamedTaskOptions options;
  options.task_name = data.task_name.value_or("");
  options.task_file = data.task_file;
  options.cache_dir = data.cache_dir;
  options.add_prefix = data.add_prefix;
  options.original_quirks = data.original_quirks;
  options.split_validation_test = data.split_validation_test;
  options.train_file = data.task.train_file;
  options.validation_file = data.task.validation_file;
  options.test_file = data.task.test_file;
  options.delimiter = data.task.delimiter;
  options.quoting = data.task.quoting;
  options.max_train_samples = data.max_train_samples;
  options.max_eval_samples = data.max_eval_samples;
  options.max_predict_samples = data.max_predict_samples;
  options.k_shot_examples = data.k_shot_examples;
  options.validation_split = data.validation_split;
  options.seed = seed;
  return options;
}

void check_task(const DataOptions& data, int64_t seed, const std::vector<SplitName>& splits) {
  if (!data.named()) return check_file_task(data.task);
  const bool trains = std::find(splits.begin(), splits.end(), SplitName::train) != splits.end();
  check_all({[&] {
               if (trains) check_original_trains(data);
             },
             [&] { check_named_task(named_task(data, seed), splits); }});
}

TaskData load_task(const DataOptions& data, int64_t seed, const std::vector<SplitName>& splits, bool head) {
  if (!data.named()) return load_own_files(data, seed, head);
  TaskData task = load_named_task(named_task(data, seed), splits);
  if (head && task.numeric()) {
    if (quirks_of(data).has_no_regression_head())
      fail(Code::usage, "original_quirks", "a task whose answers a head can name", task.name);
    task.labels.clear();
    task.label_words.clear();
  }
  if (head && !task.free_text() && !quirks_of(data).keeps_hidden_labels()) drop_hidden_labels(task);
  return task;
}

int64_t longest_target(const TaskData& task, const EvaluationOptions& options, const Tokenizer& tokenizer,
                       const EncodeRules& rules) {
  if (task.free_text()) return options.generation_max_length;
  int64_t longest = 0;
  for (const Ids& label : encode_targets(tokenizer, rules, task.label_words, 1))
    longest = std::max(longest, static_cast<int64_t>(label.size()));
  return longest;
}

}  // namespace dept
