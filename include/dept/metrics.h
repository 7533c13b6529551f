// Metrics of predictions against targets, both strings, in per cent where the field reports per cent.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

namespace dept {

using Metrics = std::vector<std::pair<std::string, double>>;  ///< in the task's order; the first one chooses the best model

/// What some metrics want beside one target a prediction; each is empty or has one entry a prediction.
struct MetricExtras {
  std::vector<std::vector<std::string>> answers;  ///< all that are accepted; an empty list stands for the target alone
  std::vector<std::string> groups;                ///< the question it belongs to
};

/// The names that compute_metric knows.
const std::vector<std::string>& metric_names();

/// All of them times 100, over strings (definitions: scikit-learn, SciPy, T5's evaluation for invalid answers):
///   accuracy              equal strings
///   exact_match           equal strings after stripping
///   f1                    binary, positive label = labels[1] of exactly two; an answer outside them counts as the wrong one
///   f1_macro              mean over every string seen as target or prediction
///   f1_multiclass         mean over `labels`
///   em, f1 without labels SQuAD's: equality, and overlap of words, of normal forms, the best over the accepted answers
///   em with labels        share of the groups (MultiRC: questions) with no wrong answer
///   matthews_correlation  over the same classes
///   vqa_accuracy          VQA's, against the answers of several people (dept/tasks/vqa_metric.h)
///   cider_d, bleu_4       of captions, against all those of the image (dept/tasks/caption_metrics.h)
///   pearson, spearmanr    of the strings as numbers; what is none counts as -1; 0 where either side is constant
/// Throws usage for an unknown name or labels and groups that a metric cannot do with, bad_input for no predictions, bug for
/// unequal counts.
double compute_metric(const std::string& name, std::span<const std::string> predictions, std::span<const std::string> targets,
                      const std::vector<std::string>& labels, const MetricExtras& extras = {});

}  // namespace dept
