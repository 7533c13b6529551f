// An evaluation in detail: by class, by length of answer, how far scores can be believed, the worst examples.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dept/base/json.h"
#include "dept/tasks/task.h"

namespace dept {

/// What was asked, answered and expected, one entry an example each.
struct EvaluatedAnswers {
  std::span<const TextExample> texts;
  std::span<const std::string> predictions;  ///< empty when only the loss was asked for
  std::span<const std::string> targets;
  std::span<const std::vector<double>> scores;  ///< [labels] each; empty where they are not known
  std::span<const std::string> labels;          ///< empty for free text and numbers
  bool numeric = false;                         ///< answers are numbers
};

/// What evaluation.json holds, shares as fractions, a share of nothing as 0 (definitions: scikit-learn with zero_division 0):
///   split, examples
///   labels, accuracy, classes {LABEL: precision, recall, f1, support}, no_label (answers that are none)
///   confusion_matrix [targets][predictions] of the answers that are labels, for up to 1,000 labels
///   calibration, where scores are known: ece, the expected calibration error, and its 10 bins (low, high] of the largest score,
///     each with its examples, their mean largest score (confidence) and their accuracy
///   by_length, of free text: em and f1 as SQuAD has them, by the words of the target (1, 2, 3 to 4, 5 to 8, ..)
///   worst, at most 50 examples {index, source, target, prediction}: by the smallest score of the target; without scores the
///   wrong
///     answers, of free text by F1, of numbers by their distance. Equally bad ones stay in the data's order.
OrderedJson evaluation_detail(std::string_view split, const EvaluatedAnswers& evaluated);

/// Lines of a table by class in per cent, for people; none without labels.
std::vector<std::string> class_table(const OrderedJson& detail);

/// The first `limit` code points of UTF-8.
std::string cut_to(std::string_view text, size_t limit);

/// How much of a source the files of a run show, in code points.
inline constexpr size_t shown_source = 500;

}  // namespace dept
