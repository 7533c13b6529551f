// The page's parts. Each is HTML that ends in a newline, or "" where there is nothing to show.
#pragma once

#include <string>
#include <vector>

#include "report/comparison.h"
#include "report/run_folder.h"

namespace dept {

/// The style sheet: light, dark and paper; wide and narrow.
std::string_view page_style();

/// "test accuracy 86.5, f1 85.5": of the data evaluated last the metrics, else the loss; "" before the end of a run.
std::string headline(const Figures& results);

/// A run's figures, with the paper's beside them where it has one of the task.
std::string results_table(const ReportedRun& run);
/// The command, and the options that decided.
std::string what_ran(const std::string& command, const ReportedRun* run);
/// Losses and metrics over steps, one line a run; `best` stands out among many. `of` tells charts of several parts apart.
std::string curves(const std::vector<const ReportedRun*>& runs, const ReportedRun* best, const std::string& of);
/// evaluation.json: table by class, confusion matrix, calibration, by length.
std::string by_class(const ReportedRun& run, const std::string& of);
std::string worst_examples(const ReportedRun& run, const std::string& of, size_t most);
/// The prompt's nearest words, and what A·B adds to each row.
std::string prompt_findings(const ReportedRun& run, const std::string& of);
/// How long it took, and how much memory.
std::string cost(const ReportedRun& run);

/// A table of all rows, and charts of what the axes do.
std::string comparison_table(const Comparison& comparison);
std::string comparison_charts(const Comparison& comparison);

}  // namespace dept
