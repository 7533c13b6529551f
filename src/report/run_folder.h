// What the folder of a run, or of a sweep, holds for a page.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dept/base/file.h"
#include "dept/base/json.h"
#include "report/charts.h"

namespace dept {

using Figures = std::vector<std::pair<std::string, double>>;  ///< by name, in the file's order

/// A run; what its folder does not hold is empty.
struct ReportedRun {
  std::string name;                                   ///< the folder's
  std::string command;                                ///< as typed
  OrderedJson options = OrderedJson::object();        ///< run.json's
  Figures results;                                    ///< all_results.json
  std::vector<std::pair<std::string, Curve>> curves;  ///< by name (loss, eval_loss, eval_accuracy, ..), over steps
  OrderedJson evaluation = OrderedJson::object();     ///< evaluation.json
  OrderedJson findings = OrderedJson::object();       ///< report.json

  const Curve* curve(const std::string& name) const;  ///< null: none
  /// An option's text, "" where it is unset.
  std::string option(const std::string& name) const;
  /// report.json's, in bytes.
  std::optional<double> peak_memory() const;
  /// The named task, else the training file's name, else the folder's.
  std::string task() const;
};

/// Throws io or bad_input.
ReportedRun read_run(const fs::path& folder);

/// A sweep: its state, and the lines of results.jsonl in their order.
struct ReportedSweep {
  std::string name, command;
  OrderedJson state;
  std::vector<OrderedJson> lines;
  std::vector<ReportedRun> runs;  ///< one a line
};
ReportedSweep read_sweep(const fs::path& folder);

enum class FolderKind { run, sweep };
/// Throws io for no folder, bad_input for one of neither kind.
FolderKind kind_of(const fs::path& folder);

/// Whether a result is a metric that people compare: no count, no time, no loss of training.
bool is_metric(const std::string& name);
/// eval_f1 -> "f1 (validation)".
std::string metric_title(const std::string& name);

const double* find_figure(const Figures& figures, const std::string& name);

}  // namespace dept
