// The rows that a command works on, of a named task or of a user's own files.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dept/tasks/named_task.h"
#include "dept/train/encode.h"
#include "dept/train/options.h"

namespace dept {

/// The named task that the options ask for; `seed` draws its few shots.
NamedTaskOptions named_task(const DataOptions& data, int64_t seed);

/// All that names and the files' heads tell of these splits, in one message. Throws usage, io, bad_input.
void check_task(const DataOptions& data, int64_t seed, const std::vector<SplitName>& splits);

/// Rows, cut to --max_*_samples and drawn by --k_shot_examples, labels and metrics. Under a classification head numbers have no
/// labels. Throws usage, io, bad_input (naming file and row).
TaskData load_task(const DataOptions& data, int64_t seed, const std::vector<SplitName>& splits, bool head);

/// Throws bad_input naming two labels that the tokenizer makes the same ids of, so that no answer tells them apart.
void check_label_ids(const Tokenizer& tokenizer, const EncodeRules& rules, const std::vector<std::string>& labels,
                     const std::vector<std::string>& label_words);

/// What is said of a split at the start: its rows, how many have each label, how many texts and answers are cut.
struct SplitReport {
  std::string counts;
  std::string cut;  ///< that no text is; where some are, a warning says so
  std::vector<std::string> warnings;
};
/// `longest_answer`: --generation_max_length.
SplitReport report_split(std::string_view name, const TaskData& task, std::span<const TextExample> rows,
                         std::span<const Example> examples, const Cuts& cuts, const EncodeRules& rules, int64_t longest_answer);
/// A line where labels found in the data look like numbers to be learnt as numbers; else "".
std::string question_labels(const TaskData& task);

/// In tokens, as the original cuts targets: the longest label's, of free text --generation_max_length.
int64_t longest_target(const TaskData& task, const EvaluationOptions& options, const Tokenizer& tokenizer,
                       const EncodeRules& rules);

}  // namespace dept
