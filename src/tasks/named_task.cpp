#include "dept/tasks/named_task.h"

#include <algorithm>
#include <numeric>

#include "dept/base/error.h"
#include "dept/base/log.h"
#include "dept/base/problems.h"
#include "dept/base/text.h"
#include "dept/data/sampler.h"
#include "dept/tasks/k_shot.h"
#include "dept/tasks/number_text.h"
#include "dept/tasks/validation_split.h"
#include "tasks/hub_split.h"
#include "tasks/image_rows.h"
#include "tasks/row_text.h"

namespace dept {
namespace {

constexpr uint64_t split_seed = 42;
constexpr size_t validation_rows_of_train = 1000;
constexpr std::string_view no_answer = "<unk>";  // T5's word for an unknown one: ReCoRD's rows without answers

// Where a split's rows are and which part of them it takes.
struct Origin {
  std::vector<std::string> files;
  std::string hub_split;  // when there are no files
  enum class Part { whole, first_half, second_half, first_thousand, all_but_thousand } part = Part::whole;
};

[[noreturn]] void refuse_split(const TaskDescription& task, SplitName split, std::string_view remedy) {
  fail(Code::usage, task.name, remedy, str("no ", to_string(split), " split in ", task.repository));
}

// The original's rule: validation and test data of a task without labelled test data are parts of its validation or train split.
// A file given for a split is that split, whole; under the original's quirks it is divided as well.
Origin find_origin(const NamedTaskOptions& o, const TaskDescription& task, SplitName split) {
  Origin origin{o.file(split), "", Origin::Part::whole};
  const bool divides = o.split_validation_test && (origin.files.empty() || o.quirks().divides_given_files());
  if (divides && task.divide == Divide::validation && split != SplitName::train) {
    origin.hub_split = task.split(SplitName::validation);
    origin.part = split == SplitName::validation ? Origin::Part::first_half : Origin::Part::second_half;
    return origin;
  }
  if (divides && task.divide == Divide::train && split != SplitName::test) {
    origin.hub_split = task.split(SplitName::train);
    origin.part = split == SplitName::validation ? Origin::Part::first_thousand : Origin::Part::all_but_thousand;
    return origin;
  }
  origin.hub_split = task.split(split);
  if (!origin.files.empty()) return origin;
  const std::string& validation = task.split(SplitName::validation);
  if (origin.hub_split.empty() && split == SplitName::test && !validation.empty() && !o.quirks().requires_test_split()) {
    log::warn(str(task.name, " has no test split: the validation split serves"));
    origin.hub_split = validation;
  }
  if (origin.hub_split.empty())
    refuse_split(task, split,
                 str("--", to_string(split), "_file", split == SplitName::validation ? ", or validation on rows of train" : ""));
  if (origin.hub_split == validation && split == SplitName::test) origin.files = o.validation_file;
  if (origin.files.empty() && task.repository.empty())
    fail(Code::usage, str("--", to_string(split), "_file"), "a file, as the task names no repository", "none");
  return origin;
}

ParquetSplit on_hub(const Origin& origin, const TaskDescription& task) {
  return {task.repository, task.config.empty() ? "default" : task.config, origin.hub_split};
}

// The answers of a user's own task are class names unless it speaks of their numbers.
TableFormat format_of(const NamedTaskOptions& o, const TaskDescription& task) {
  TableFormat format = table_format(o.delimiter, o.quoting);
  format.class_names = o.task_file && task.values.empty() && (task.labels.empty() || !all_integers(task.labels));
  return format;
}

Table read_rows(const Origin& origin, const TaskDescription& task, const NamedTaskOptions& o) {
  const TableFormat format = format_of(o, task);
  return origin.files.empty() ? read_hub_split(hub_options(o.cache_dir), on_hub(origin, task), format)
                              : read_tables(origin.files, format);
}

// `n` rows of `where`.
std::vector<int64_t> choose_rows(const Origin& origin, int64_t n, const std::string& where, std::optional<int64_t> max_samples) {
  std::vector<int64_t> order;
  if (origin.part == Origin::Part::whole && !max_samples) {
    order.resize(static_cast<size_t>(n));
    std::iota(order.begin(), order.end(), int64_t{0});
    return order;
  }
  order = seeded_permutation(n, split_seed);
  const bool halves = origin.part == Origin::Part::first_half || origin.part == Origin::Part::second_half;
  const size_t first = halves ? order.size() / 2 : std::min(validation_rows_of_train, order.size());
  if (origin.part == Origin::Part::first_half || origin.part == Origin::Part::first_thousand) order.resize(first);
  if (origin.part == Origin::Part::second_half || origin.part == Origin::Part::all_but_thousand)
    order.erase(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(first));
  if (order.empty())
    fail(Code::bad_input, where, halves ? "at least two rows, to be halved" : "more than the 1,000 rows that validate", str(n));
  if (max_samples && *max_samples < static_cast<int64_t>(order.size())) order.resize(static_cast<size_t>(*max_samples));
  return order;
}

// A task's text for rows of one table: by its own columns, else by plain source and target (or text and label) columns.
class ExampleWriter {
 public:
  ExampleWriter(const TaskDescription& task, const Table& table, bool add_prefix, bool labelled = true)
      : task_(task),
        table_(table),
        prefix_(add_prefix ? task.prefix + " " : ""),
        source_(task.source),
        target_(task.target),
        group_(task.group),
        each_(task.each),
        labelled_(labelled),
        origins_(table, join(source_.columns(), ", "), join(target_.columns(), ", ")) {
    const std::vector<std::string> missing = missing_columns();
    if (missing.empty()) {
      has_group_ = !task.group.empty() && lacks(group_).empty();
      return;
    }
    const bool source = table.has("source") || table.has("text"), target = table.has("target") || table.has("label");
    if (!source || (labelled && !target))
      fail(Code::bad_input, table.path.string(),
           str("the columns of ", task.name, " (missing: ", join(missing, ", "),
               labelled ? ") or source and target" : ") or source"),
           str("columns ", table.column_names(), table.delimiter_hint()));
    source_ = RowText(table.has("source") ? "{source}" : "{text}");
    target_ = RowText(table.has("target") ? "{target}" : "{label}");
    each_.clear();
    plain_ = true;
    origins_ = Origins(table, join(source_.columns(), ", "), join(target_.columns(), ", "));
  }

  void write(int64_t index, std::vector<TextExample>& out) {
    const RowView row(table_, static_cast<size_t>(index));
    TextExample example{index, prefix_ + source_.fill(row), "", has_group_ ? group_.fill(row) : ""};
    origins_.mark(example, static_cast<size_t>(index));
    if (!labelled_) return out.push_back(std::move(example));
    for (const std::string& each : elements(row)) {
      example.target = checked(target_.fill(row, each), row);
      out.push_back(example);
    }
  }

 private:
  std::vector<std::string> lacks(const RowText& text) const {
    std::vector<std::string> missing;
    for (const std::string& path : text.columns())
      if (!RowView(table_, 0).has(path)) missing.push_back(quote(path));
    return missing;
  }

  std::vector<std::string> missing_columns() const {
    std::vector<std::string> missing = lacks(source_);
    if (!labelled_) return missing;
    for (std::string& path : lacks(target_)) missing.push_back(std::move(path));
    if (!each_.empty() && !RowView(table_, 0).has(each_)) missing.push_back(quote(each_));
    return missing;
  }

  // What {each} stands for: once nothing for a task without.
  std::vector<std::string> elements(const RowView& row) const {
    if (each_.empty()) return {""};
    const OrderedJson list = row.value(each_);
    if (!list.is_array()) row.refuse(each_, "a list", quote(list.dump()));
    if (list.empty()) return {std::string(no_answer)};
    std::vector<std::string> texts;
    for (const OrderedJson& item : list) texts.push_back(plain_text(item, row, each_));
    return texts;
  }

  // The target by its values; -1, the hub's mark for a hidden label, stays what it is.
  std::string checked(std::string target, const RowView& row) const {
    const std::string answer(strip(target));
    if (task_.regression() || (task_.labels.empty() && task_.values.empty())) return target;
    const bool is_label = std::find(task_.labels.begin(), task_.labels.end(), answer) != task_.labels.end();
    if (answer == "-1" || ((task_.values.empty() || plain_) && (is_label || task_.labels.empty()))) return answer;
    const auto value =
        std::find_if(task_.values.begin(), task_.values.end(), [&](const auto& one) { return one.first == answer; });
    if (value != task_.values.end()) return value->second;
    std::vector<std::string> known = task_.labels;
    if (!task_.values.empty()) {
      known.clear();
      for (const auto& [name, unused] : task_.values) known.push_back(name);
    }
    row.refuse(task_.name, str("an answer of ", join(known, ", ")), quote(answer));
  }

  const TaskDescription& task_;
  const Table& table_;
  std::string prefix_;
  RowText source_, target_, group_;
  std::string each_;
  bool labelled_, has_group_ = false, plain_ = false;
  Origins origins_;
};

AnswerClasses classes_of(const TaskDescription& task) {
  return {task.labels, task.regression()};
}

void check_draw(const NamedTaskOptions& o, const TaskDescription& task) {
  if (!o.k_shot_examples) return;
  static constexpr std::string_view original_table[] = {"mnli",
                                                        "qqp",
                                                        "qnli",
                                                        "sst2",
                                                        "mrpc",
                                                        "stsb",
                                                        "rte",
                                                        "cola",
                                                        "superglue-cb",
                                                        "superglue-boolq",
                                                        "superglue-wic",
                                                        "superglue-wsc.fixed",
                                                        "superglue-multirc",
                                                        "scitail"};
  const auto known = std::find(std::begin(original_table), std::end(original_table), task.name);
  if (o.quirks().knows_classes_of_few_tasks() && known == std::end(original_table))
    fail(Code::usage, "k_shot_examples", "a task that the original knows the classes of (or no --original_quirks)", task.name);
  check_k_shot(*o.k_shot_examples, classes_of(task), task.name);
}

void keep_first_rows(const NamedTaskOptions& o, const TaskDescription& task, std::vector<TextExample>& examples) {
  if (!task.max_train_rows) return;
  const auto most = static_cast<size_t>(*task.max_train_rows);
  if (o.quirks().requires_max_train_rows() && examples.size() < most)
    fail(Code::bad_input, task.name, str("at least ", most, " training rows, as the original wants"), str(examples.size()));
  if (examples.size() > most) examples.resize(most);
}

ImageRows image_rows(const NamedTaskOptions& o, const TaskDescription& task, const std::vector<std::string>& files,
                     SplitName split, bool labelled) {
  return {task, files, o.add_prefix ? task.prefix + " " : "", labelled, split};
}

// As rows of a table are chosen.
std::vector<TextExample> load_images(const NamedTaskOptions& o, const TaskDescription& task, SplitName split,
                                     std::optional<int64_t> max_samples) {
  const Origin origin = find_origin(o, task, split);
  std::vector<TextExample> all = read_image_rows(image_rows(o, task, origin.files, split, true)), chosen;
  const auto rows = static_cast<int64_t>(all.size());
  for (const int64_t row : choose_rows(origin, rows, origin.files.front(), max_samples))
    chosen.push_back(std::move(all[static_cast<size_t>(row)]));
  return chosen;
}

std::vector<TextExample> load_rows(const NamedTaskOptions& o, const TaskDescription& task, SplitName split,
                                   std::optional<int64_t> max_samples) {
  if (task.sees_images()) return load_images(o, task, split, max_samples);
  const Origin origin = find_origin(o, task, split);
  const Table table = read_rows(origin, task, o);
  ExampleWriter writer(task, table, o.add_prefix);
  std::vector<TextExample> examples;
  const auto rows = static_cast<int64_t>(table.rows.size());
  for (const int64_t row : choose_rows(origin, rows, table.path.string(), max_samples)) writer.write(row, examples);
  if (split == SplitName::train) keep_first_rows(o, task, examples);
  return examples;
}

std::vector<TextExample> draw(const NamedTaskOptions& o, const TaskDescription& task, std::vector<TextExample> train) {
  if (!o.k_shot_examples) return train;
  return draw_k_shot(train, classes_of(task), {*o.k_shot_examples, o.seed, o.quirks().draws_last_shot_of_any_class()});
}

std::vector<TextExample> load_split(const NamedTaskOptions& o, const TaskDescription& task, SplitName split) {
  std::vector<TextExample> examples = load_rows(o, task, split, o.max_samples(split));
  return split == SplitName::train ? draw(o, task, std::move(examples)) : examples;
}

// --validation_split is for data without a validation part.
void check_validation_split(const NamedTaskOptions& o, const TaskDescription& task) {
  const bool on_hub = o.train_file.empty() && (task.divide == Divide::train || !task.split(SplitName::validation).empty());
  if (!o.validation_file.empty() || on_hub)
    fail(Code::usage, "validation_split", "a task without validation data",
         o.validation_file.empty() ? str(task.name, ", which has them") : "--validation_file");
}

// Validation rows out of train, before samples are counted and few shots drawn.
void load_divided(const NamedTaskOptions& o, const TaskDescription& description, TaskData& task) {
  const auto cut = [](std::vector<TextExample>& examples, std::optional<int64_t> most) {
    if (most && *most < static_cast<int64_t>(examples.size())) examples.resize(static_cast<size_t>(*most));
  };
  NamedTaskOptions whole = o;
  whole.split_validation_test = false;
  task.train = load_rows(whole, description, SplitName::train, std::nullopt);
  task.validation = take_validation(task.train, classes_of(description), {*o.validation_split, o.seed});
  cut(task.train, o.max_train_samples);
  cut(task.validation, o.max_eval_samples);
  task.train = draw(o, description, std::move(task.train));
}

void check_split(const NamedTaskOptions& o, const TaskDescription& task, SplitName split) {
  const Origin origin = find_origin(o, task, split);
  if (task.sees_images()) return check_image_rows(image_rows(o, task, origin.files, split, true));
  if (origin.files.empty()) return check_hub_parquet(hub_options(o.cache_dir), on_hub(origin, task));
  for (const std::string& path : origin.files) {
    require_readable_file(path, str(to_string(split), "_file"));
    ExampleWriter(task, read_table_head(path, format_of(o, task)), o.add_prefix);
  }
}

}  // namespace

const std::vector<std::string>& NamedTaskOptions::file(SplitName split) const {
  return split == SplitName::train ? train_file : split == SplitName::validation ? validation_file : test_file;
}

std::optional<int64_t> NamedTaskOptions::max_samples(SplitName split) const {
  return split == SplitName::train ? max_train_samples : split == SplitName::validation ? max_eval_samples : max_predict_samples;
}

void check_named_task(const NamedTaskOptions& o, const std::vector<SplitName>& splits) {
  const TaskDescription task = find_task(o.task_name, o.task_file, o.quirks());
  Problems problems;
  problems.attempt([&] { check_draw(o, task); });
  if (o.validation_split) problems.attempt([&] { check_validation_split(o, task); });
  for (const SplitName split : splits)
    if (!o.validation_split || split != SplitName::validation) problems.attempt([&] { check_split(o, task, split); });
  problems.raise();
}

std::vector<TextExample> load_named_split(const NamedTaskOptions& o, SplitName split) {
  return load_split(o, find_task(o.task_name, o.task_file, o.quirks()), split);
}

void check_named_rows(const NamedTaskOptions& o, const fs::path& path) {
  const TaskDescription task = find_task(o.task_name, o.task_file, o.quirks());
  require_readable_file(path, "input");
  if (task.sees_images()) return;
  ExampleWriter(task, read_table_head(path, format_of(o, task)), o.add_prefix, false);
}

std::vector<TextExample> load_named_rows(const NamedTaskOptions& o, const fs::path& path) {
  const TaskDescription task = find_task(o.task_name, o.task_file, o.quirks());
  if (task.sees_images()) {
    const std::vector<std::string> files = {path.string()};
    return read_image_rows(image_rows(o, task, files, SplitName::test, false));
  }
  const Table table = read_table(path, format_of(o, task));
  ExampleWriter writer(task, table, o.add_prefix, false);
  std::vector<TextExample> examples;
  for (size_t row = 0; row < table.rows.size(); ++row) writer.write(static_cast<int64_t>(row), examples);
  return examples;
}

TaskData load_named_task(const NamedTaskOptions& o, const std::vector<SplitName>& splits) {
  const TaskDescription description = find_task(o.task_name, o.task_file, o.quirks());
  TaskData task;
  task.name = description.name;
  task.labels = task.label_words = description.labels;
  task.cleans_up = true;
  bool grouped = true;
  if (o.validation_split) load_divided(o, description, task);
  for (const SplitName split : splits) {
    if (o.validation_split && split != SplitName::test) continue;
    auto& examples = split == SplitName::train ? task.train : split == SplitName::validation ? task.validation : task.test;
    examples = load_split(o, description, split);
    grouped &= split == SplitName::train || examples.empty() || !examples.front().group.empty();
  }
  if (o.validation_split) grouped &= !task.validation.front().group.empty();
  for (const std::string& metric : description.metrics)
    if (metric != "em" || task.free_text() || (grouped && !o.quirks().computes_no_em_of_labels())) task.metrics.push_back(metric);
  return task;
}

}  // namespace dept
