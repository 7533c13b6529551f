// A named task's examples: from local files or the hub's data set, divided, drawn and written as the original does.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dept/tasks/description.h"
#include "dept/tasks/task.h"

namespace dept {

struct NamedTaskOptions {
  std::string task_name;
  std::optional<std::string> task_file;  ///< descriptions of the user's own, in the form of configs/tasks.yaml
  bool add_prefix = false;
  bool original_quirks = false;  ///< text, splits and k-shot draws as the original's code has them where it errs
  bool split_validation_test = true;
  std::vector<std::string> train_file, validation_file, test_file;  ///< in the place of the hub's splits, each used whole
  std::string delimiter;                                            ///< of delimited files, as table_format takes it
  std::optional<std::string> quoting;                               ///< likewise
  std::optional<int64_t> max_train_samples, max_eval_samples, max_predict_samples;
  std::optional<int64_t> k_shot_examples;
  std::optional<double> validation_split;  ///< this share of the training rows validates, where nothing else does
  std::string cache_dir;                   ///< of the hub; "": what the environment says
  int64_t seed = 42;                       ///< of the k-shot draw and validation_split; the original's splits have always 42

  Quirks quirks() const { return Quirks(original_quirks); }
  const std::vector<std::string>& file(SplitName split) const;
  std::optional<int64_t> max_samples(SplitName split) const;
};

/// All that can be known from names and the files' heads for these splits; one message for all problems. Throws usage, io,
/// bad_input.
void check_named_task(const NamedTaskOptions& options, const std::vector<SplitName>& splits);

/// The split's examples in the order in which the original has them; index is the row in the file or the hub's split.
/// Throws usage, io or bad_input (naming file and row).
std::vector<TextExample> load_named_split(const NamedTaskOptions& options, SplitName split);

/// Sources alone of a file's rows, in its order; the answers' columns need not be there. Throws io or bad_input.
std::vector<TextExample> load_named_rows(const NamedTaskOptions& options, const fs::path& path);
/// What load_named_rows would throw that names and the file's head show.
void check_named_rows(const NamedTaskOptions& options, const fs::path& path);

/// Labels, words, metrics of the task and the splits asked for. Metrics that the data do not allow (em without its groups) are
/// left out, and under the original's quirks those that it names but does not compute.
TaskData load_named_task(const NamedTaskOptions& options, const std::vector<SplitName>& splits);

}  // namespace dept
