#include "dept/tasks/description.h"

#include <algorithm>
#include <charconv>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/base/yaml.h"
#include "dept/metrics.h"
#include "tasks/built_in.h"
#include "tasks/row_text.h"

namespace dept {
namespace {

constexpr uint64_t max_file_bytes = 1 << 20;
constexpr const char* known_keys[] = {"repository", "config",  "source", "target", "each",   "group",          "values",
                                      "labels",     "metrics", "splits", "divide", "prefix", "max_train_rows", "original"};

// One task's mapping, read key by key with errors that name it.
class Entry {
 public:
  Entry(const OrderedJson& mapping, std::string where) : mapping_(mapping), where_(std::move(where)) {
    if (!mapping.is_object()) refuse("", "a mapping of source, target, metrics, ...", mapping);
    for (const auto& [key, value] : mapping.items())
      if (std::find(std::begin(known_keys), std::end(known_keys), key) == std::end(known_keys))
        fail(Code::bad_input, where_, str("keys of ", join({std::begin(known_keys), std::end(known_keys)}, ", ")), quote(key));
  }

  std::string text(const char* key, const std::string& otherwise = "") const {
    const auto found = mapping_.find(key);
    if (found == mapping_.end()) return otherwise;
    if (!found->is_string()) refuse(key, "text", *found);
    return found->get<std::string>();
  }
  std::string required_text(const char* key) const {
    const std::string value = text(key);
    if (value.empty()) refuse(key, "text", nullptr);
    return value;
  }
  std::vector<std::string> list(const char* key) const {
    std::vector<std::string> values;
    const auto found = mapping_.find(key);
    if (found == mapping_.end()) return values;
    if (!found->is_array()) refuse(key, "a list", *found);
    for (const OrderedJson& item : *found) {
      if (!item.is_string()) refuse(key, "a list of words", *found);
      values.push_back(item.get<std::string>());
    }
    return values;
  }
  std::vector<std::pair<std::string, std::string>> pairs(const char* key) const {
    std::vector<std::pair<std::string, std::string>> values;
    const auto found = mapping_.find(key);
    if (found == mapping_.end()) return values;
    if (!found->is_object()) refuse(key, "a mapping", *found);
    for (const auto& [name, value] : found->items()) {
      if (!value.is_string()) refuse(key, "a mapping to words", *found);
      values.emplace_back(name, value.get<std::string>());
    }
    return values;
  }
  std::optional<int64_t> count(const char* key) const {
    const std::string digits = text(key);
    if (digits.empty()) return std::nullopt;
    int64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc() || end != digits.data() + digits.size() || value < 1) refuse(key, "a number above 0", digits);
    return value;
  }
  [[noreturn]] void refuse(const char* key, std::string_view expected, const OrderedJson& received) const {
    fail(Code::bad_input, *key == '\0' ? where_ : str(where_, ": ", key), expected,
         received.is_null() ? "nothing" : quote(received.dump(-1, ' ', false, OrderedJson::error_handler_t::replace)));
  }
  const std::string& where() const { return where_; }

 private:
  const OrderedJson& mapping_;
  std::string where_;
};

std::array<std::string, 3> split_names(const Entry& entry) {
  std::array<std::string, 3> names = {"train", "validation", "test"};
  const std::array<std::string, 3> ours = names;
  for (const auto& [name, theirs] : entry.pairs("splits")) {
    const auto found = std::find(ours.begin(), ours.end(), name);
    if (found == ours.end()) entry.refuse("splits", "train, validation, test", name);
    names[static_cast<size_t>(found - ours.begin())] = theirs == "none" ? "" : theirs;
  }
  return names;
}

Divide divide_of(const Entry& entry) {
  const std::string word = entry.text("divide", "none");
  if (word == "validation") return Divide::validation;
  if (word == "train") return Divide::train;
  if (word != "none") entry.refuse("divide", "none, validation or train", word);
  return Divide::none;
}

void check(const TaskDescription& task, const Entry& entry) {
  try {
    RowText(task.source), RowText(task.target), RowText(task.group);
  } catch (const Error& error) {
    throw Error(Code::bad_input, str("[", entry.where(), "] ", error.what()));
  }
  if (task.metrics.empty()) entry.refuse("metrics", "at least one", nullptr);
  for (const std::string& metric : task.metrics)
    if (std::find(metric_names().begin(), metric_names().end(), metric) == metric_names().end())
      entry.refuse("metrics", str("one of ", join(metric_names(), ", ")), metric);
  const auto has = [&](const char* metric) {
    return std::find(task.metrics.begin(), task.metrics.end(), metric) != task.metrics.end();
  };
  if (has("f1") && !task.labels.empty() && task.labels.size() != 2)
    entry.refuse("metrics", "f1 with two labels or free text (else f1_macro)", task.metrics);
  if (has("em") && !task.labels.empty() && task.group.empty())
    entry.refuse("metrics", "em with free text or a group", task.metrics);
  if (has("f1_multiclass") && task.labels.empty()) entry.refuse("metrics", "f1_multiclass with labels", task.metrics);
  if (task.labels.size() == 1) entry.refuse("labels", "two labels or more", task.labels);
  for (const auto& [answer, target] : task.values)
    if (!task.labels.empty() && std::find(task.labels.begin(), task.labels.end(), target) == task.labels.end())
      entry.refuse("values", str("targets among the labels ", join(task.labels, ", ")), target);
}

TaskDescription read_task(const std::string& name, const OrderedJson& mapping, const std::string& where) {
  const Entry entry(mapping, where);
  TaskDescription task;
  task.name = name;
  task.prefix = entry.text("prefix", name);
  task.repository = entry.text("repository");
  task.config = entry.text("config", "default");
  task.source = entry.required_text("source");
  task.target = entry.required_text("target");
  task.each = entry.text("each");
  task.group = entry.text("group");
  task.values = entry.pairs("values");
  task.labels = entry.list("labels");
  task.metrics = entry.list("metrics");
  task.splits = split_names(entry);
  task.divide = divide_of(entry);
  task.max_train_rows = entry.count("max_train_rows");
  check(task, entry);
  return task;
}

}  // namespace

std::string_view to_string(SplitName split) {
  static constexpr std::string_view names[] = {"train", "validation", "test"};
  return names[static_cast<size_t>(split)];
}

std::vector<TaskDescription> parse_tasks(const std::string& yaml, std::string_view where, Quirks quirks) {
  OrderedJson tasks = parse_yaml(yaml, where);
  if (!tasks.is_object() || tasks.empty())
    fail(Code::bad_input, where, "task names, each with its description", tasks.type_name());
  std::vector<TaskDescription> descriptions;
  for (auto& [name, mapping] : tasks.items()) {
    const std::string place = str(where, ": ", name);
    if (quirks.writes_original_texts() && mapping.is_object() && mapping.contains("original")) {
      if (!mapping["original"].is_object()) fail(Code::bad_input, place + ": original", "a mapping", "something else");
      mapping.update(OrderedJson(mapping["original"]));
    }
    descriptions.push_back(read_task(name, mapping, place));
  }
  return descriptions;
}

std::vector<TaskDescription> built_in_tasks(Quirks quirks) {
  return parse_tasks(built_in_yaml, "configs/tasks.yaml", quirks);
}

std::vector<TaskDescription> image_tasks() {
  TaskDescription vqa;
  vqa.name = vqa.prefix = "vqa";
  vqa.source = "vqa: {question}";
  vqa.target = "{answer}";
  vqa.metrics = {"vqa_accuracy"};
  vqa.splits = {"train", "validation", "test"};
  vqa.form = RowForm::vqa;
  TaskDescription captions;
  captions.name = captions.prefix = "coco-caption";
  captions.source = "caption: ";
  captions.target = "{caption}";
  captions.metrics = {"cider_d", "bleu_4"};
  captions.splits = vqa.splits;
  captions.form = RowForm::captions;
  return {vqa, captions};
}

std::vector<TaskDescription> read_task_file(const fs::path& path, Quirks quirks) {
  return parse_tasks(read_file(path, max_file_bytes), path.string(), quirks);
}

TaskDescription find_task(const std::string& name, const std::optional<std::string>& task_file, Quirks quirks) {
  std::vector<TaskDescription> tasks = task_file ? read_task_file(*task_file, quirks) : built_in_tasks(quirks);
  if (!task_file)
    for (TaskDescription& task : image_tasks()) tasks.push_back(std::move(task));
  if (task_file && name.empty() && tasks.size() == 1) return tasks.front();
  std::vector<std::string> names;
  for (const TaskDescription& task : tasks) {
    if (task.name == name) return task;
    names.push_back(task.name);
  }
  const std::string nearest = nearest_name(name, names);
  fail(
      Code::usage, "task_name",
      str("a task of ", task_file ? *task_file : "dept data list", nearest.empty() ? "" : str(" (the nearest is ", nearest, ")")),
      name.empty() ? "nothing" : quote(name));
}

}  // namespace dept
