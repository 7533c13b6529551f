#include "dept/train/class_weights.h"

#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>

#include "dept/base/error.h"
#include "dept/base/json.h"
#include "dept/base/text.h"

namespace dept {
namespace {

constexpr const char* balanced = "balanced";

Json read_weights(const std::string& path) {
  Json weights = read_json(path, 1 << 20);
  if (!weights.is_object()) fail(Code::bad_input, path, "an object {label: weight}", weights.type_name());
  for (const auto& [label, weight] : weights.items())
    if (!weight.is_number() || !std::isfinite(weight.get<double>()) || weight.get<double>() < 0)
      fail(Code::bad_input, str(path, ": ", label), "a weight of 0 or more", quote(weight.dump()));
  return weights;
}

std::vector<double> weights_of_file(const std::string& path, const std::vector<std::string>& labels) {
  const Json weights = read_weights(path);
  std::vector<double> values;
  std::vector<std::string> missing;
  for (const std::string& label : labels) {
    if (!weights.contains(label)) missing.push_back(quote(label));
    values.push_back(weights.value(label, 0.0));
  }
  for (const auto& [label, unused] : weights.items())
    if (std::find(labels.begin(), labels.end(), label) == labels.end())
      fail(Code::bad_input, path, str("the labels ", join(labels, ", ")), quote(label));
  if (!missing.empty())
    fail(Code::bad_input, path, str("a weight for each of the labels ", join(labels, ", ")), "none for " + join(missing, ", "));
  if (std::all_of(values.begin(), values.end(), [](double value) { return value == 0; }))
    fail(Code::bad_input, path, "a weight above 0", "none");
  return values;
}

std::vector<double> balanced_weights(const TaskData& task) {
  std::vector<double> counts(task.labels.size(), 0);
  for (const TextExample& example : task.train) {
    const auto word = std::find(task.label_words.begin(), task.label_words.end(), example.target);
    if (word != task.label_words.end()) ++counts[static_cast<size_t>(word - task.label_words.begin())];
  }
  double rows = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0)
      fail(Code::bad_input, "class_weights balanced", "training rows of every label", "none of " + quote(task.labels[i]));
    rows += counts[i];
  }
  for (double& count : counts) count = rows / (static_cast<double>(counts.size()) * count);
  return counts;
}

}  // namespace

bool is_weights_file(const std::string& option) {
  return !option.empty() && option != balanced;
}

void check_class_weights(const std::string& option) {
  if (!is_weights_file(option)) return;
  require_readable_file(option, "class_weights");
  read_weights(option);
}

at::Tensor class_weights(const std::string& option, const TaskData& task) {
  if (option.empty()) return {};
  if (task.free_text()) fail(Code::usage, "class_weights", "a task with labels", "numbers");
  return at::tensor(option == balanced ? balanced_weights(task) : weights_of_file(option, task.labels), at::kDouble);
}

}  // namespace dept
