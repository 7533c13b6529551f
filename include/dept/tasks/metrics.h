// Metrics of predictions against targets, both strings, in per cent where the field reports per cent.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

namespace dept {

using Metrics = std::vector<std::pair<std::string, double>>;  ///< in the task's order; the first one chooses the best model

/// The names that compute_metric knows.
const std::vector<std::string>& metric_names();

/// All of them times 100, over strings (definitions: scikit-learn, SciPy, T5's evaluation for invalid answers):
///   accuracy              equal strings
///   exact_match           equal strings after stripping
///   f1                    binary, positive label = labels[1] of exactly two; an answer outside them counts as the wrong one
///   f1_macro              mean over every string seen as target or prediction
///   matthews_correlation  over the same classes
///   pearson, spearmanr    of the strings as numbers; what is none counts as -1; 0 where either side is constant
/// Throws usage for an unknown name or f1 without two labels, bad_input for no predictions, bug for unequal counts.
double compute_metric(const std::string& name, std::span<const std::string> predictions, std::span<const std::string> targets,
                      const std::vector<std::string>& labels);

}  // namespace dept
