// What is known of each run of a sweep, what follows from it, and how it is written.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dept/base/json.h"
#include "sweep/plan.h"

namespace dept {

/// An evaluation on the validation data: metrics as evaluation_json names them, without times and counts.
struct Evaluated {
  int64_t step = 0;
  OrderedJson metrics = OrderedJson::object();
};

struct RunRecord {
  std::string name, task, row;
  OrderedJson axes = OrderedJson::object();  ///< option: value
  int64_t steps = 0;
  std::string end;                ///< "finished", "rung 2", "budget", "failed: WHY"; "" while it may go on
  std::vector<Evaluated> rungs;   ///< one a rung that it came to
  std::optional<Evaluated> last;  ///< of a finished run
  OrderedJson test = OrderedJson::object();
  int64_t stack = 1;  ///< the most runs that shared a pass with it, itself included
  bool best = false;
  double seconds = 0;

  bool finished() const { return end == "finished"; }
  bool failed() const { return end.starts_with("failed"); }
  /// The newest evaluation; empty: none.
  const OrderedJson& validation() const;
};

OrderedJson record_json(const RunRecord& run);
/// Takes over what an earlier process, or another rank, recorded of a run of the same name. Throws bad_input naming `where`.
void restore_record(RunRecord& run, const OrderedJson& json, const std::string& where);

/// Which figure ranks, and which way.
struct Ranking {
  std::string metric;            ///< empty: the first one that is no loss, else the loss
  std::optional<bool> maximize;  ///< absent: unless it is the loss

  /// "eval_accuracy", by what there is; "" for no evaluation.
  std::string name(const OrderedJson& metrics) const;
  /// The larger the better; nothing where it, or the loss, is not a finite number.
  std::optional<double> merit(const OrderedJson& metrics) const;
};

/// The runs of one row, by their places in the sweep's list.
using Row = std::vector<size_t>;
/// The rows among these runs, in the order of their first runs.
std::vector<Row> rows_of(const std::vector<RunRecord>& runs, const std::vector<size_t>& places);

/// The rows that go on from a rung: the best ceil(n / eta) by the mean of the runs' merits there, of equal ones the earlier. A
/// row with a run that is not finite is behind all others and never goes on.
std::vector<Row> survivors(const std::vector<RunRecord>& runs, const std::vector<Row>& rows, size_t rung, int64_t eta,
                           const Ranking& ranking);

/// The finished runs of the best row: the best mean over rows that are finished whole, else over what is finished of the others;
/// one with a run that is not finite only where there is no other. The row's best run first. Empty: nothing is finished.
std::vector<size_t> best_row(const std::vector<RunRecord>& runs, const std::vector<Row>& rows, const Ranking& ranking);

/// results.jsonl: a line a run that has ended.
std::string results_jsonl(const std::vector<RunRecord>& runs);
/// results.csv: a line a row that has ended, without the axes `repeat`, with deviations where there are any such axes.
std::string results_csv(const std::vector<RunRecord>& runs, const std::vector<std::string>& axes,
                        const std::vector<std::string>& repeat);

}  // namespace dept
