#include "dept/train/task_data.h"

#include <algorithm>
#include <array>

#include "dept/base/error.h"
#include "dept/base/log.h"
#include "dept/base/text.h"
#include "dept/tasks/k_shot.h"
#include "dept/train/setup.h"

namespace dept {
namespace {

constexpr std::string_view hidden_label = "-1";

// Tasks of the original that its own tables of metrics and columns do not let it train (docs/parity.md).
constexpr std::array<std::string_view, 4> untrainable = {"piqa", "social_i_qa", "commonsense_qa", "drop"};

void check_original_trains(const DataOptions& data) {
  if (!data.original_quirks || data.task_file) return;
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
  cut(task.train, data.max_train_samples);
  cut(task.validation, data.max_eval_samples);
  cut(task.test, data.max_predict_samples);
  if (!data.k_shot_examples || task.train.empty()) return task;
  check_k_shot(*data.k_shot_examples, classes_of(task), "free text");
  task.train = draw_k_shot(task.train, classes_of(task), {*data.k_shot_examples, seed, data.original_quirks});
  return task;
}

// Rows whose label the hub hides have nothing that a head could learn or be judged by.
void drop_hidden_labels(TaskData& task) {
  for (std::vector<TextExample>* rows : {&task.train, &task.validation, &task.test}) {
    const size_t dropped = std::erase_if(*rows, [](const TextExample& row) { return row.target == hidden_label; });
    if (dropped > 0) log::info(str(task.name, ": ", dropped, " rows with a hidden label are left out"));
  }
}

}  // namespace

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
  options.max_train_samples = data.max_train_samples;
  options.max_eval_samples = data.max_eval_samples;
  options.max_predict_samples = data.max_predict_samples;
  options.k_shot_examples = data.k_shot_examples;
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
    if (data.original_quirks) fail(Code::usage, "original_quirks", "a task whose answers a head can name", task.name);
    task.labels.clear();
    task.label_words.clear();
  }
  if (head && !task.free_text() && !data.original_quirks) drop_hidden_labels(task);
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
