// Metrics of predictions against targets, both strings, in per cent where the field reports per cent.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

namespace dept {

using Metrics = std::vector<std::pair<std::string, double>>;  ///< in the task's order; the first one chooses the best model

/// One of "accuracy", "f1" (binary, positive label = labels[1], invalid answers count as wrong), "f1_macro", ...
/// Throws usage for an unknown name.
double compute_metric(const std::string& name, std::span<const std::string> predictions, std::span<const std::string> targets,
                      const std::vector<std::string>& labels);

}  // namespace dept
