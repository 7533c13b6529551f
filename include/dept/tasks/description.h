// What a named task is: where its rows are, how a row becomes source and target text, how answers are evaluated. The built-in
// ones are those of configs/tasks.yaml (facts: arXiv 2309.05173's code), which is part of the library.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dept/base/file.h"
#include "dept/data/quirks.h"

namespace dept {

enum class SplitName { train, validation, test };
std::string_view to_string(SplitName split);

/// What a task without labelled test data does for one: nothing, halve its validation split, or validate on rows of train.
enum class Divide { none, validation, train };

/// How a task's rows stand in its files.
enum class RowForm {
  table,     ///< in columns
  vqa,       ///< the questions and the annotations of VQA
  captions,  ///< the captions of COCO, or Karpathy's split of them
};

struct TaskDescription {
  std::string name, prefix, repository, config;
  std::string source, target, each, group;                  ///< templates, and a path to a list for `each`
  std::vector<std::pair<std::string, std::string>> values;  ///< an answer of the data, and what it is called as a target
  std::vector<std::string> labels, metrics;                 ///< no labels: free text
  std::array<std::string, 3> splits;                        ///< the hub's names by SplitName; "" there is none
  Divide divide = Divide::none;
  std::optional<int64_t> max_train_rows;
  RowForm form = RowForm::table;

  const std::string& split(SplitName name) const { return splits[static_cast<size_t>(name)]; }
  /// Answers are numbers, labels only those that are expected most.
  bool regression() const { return !metrics.empty() && metrics.front() == "pearson"; }
  /// Each row has an image.
  bool sees_images() const { return form != RowForm::table; }
};

/// The tasks of a YAML text in the form of configs/tasks.yaml, in its order; an entry's `original` counts where the quirks say
/// so. Throws bad_input naming task and key.
std::vector<TaskDescription> parse_tasks(const std::string& yaml, std::string_view where, Quirks quirks);

/// The 34 tasks of the original.
std::vector<TaskDescription> built_in_tasks(Quirks quirks);

/// vqa and coco-caption, whose rows come from the data sets' own JSON files (tasks/image_rows.h).
std::vector<TaskDescription> image_tasks();

/// Those of a file. Throws io or bad_input.
std::vector<TaskDescription> read_task_file(const fs::path& path, Quirks quirks);

/// The task of that name, from `task_file` when it is given (where "" names its only task), else built in.
/// Throws usage with the nearest name.
TaskDescription find_task(const std::string& name, const std::optional<std::string>& task_file, Quirks quirks);

}  // namespace dept
