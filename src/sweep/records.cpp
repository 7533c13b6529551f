#include "sweep/records.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <tuple>

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {
namespace {

OrderedJson evaluated_json(const Evaluated& evaluated) {
  return {{"step", evaluated.step}, {"metrics", evaluated.metrics}};
}

Evaluated evaluated_of(const OrderedJson& json) {
  return {json.at("step").get<int64_t>(), json.at("metrics")};
}

std::optional<double> finite(const OrderedJson& metrics, const std::string& name) {
  if (!metrics.contains(name) || !metrics[name].is_number()) return std::nullopt;  // NaN is written as null
  const double value = metrics[name].get<double>();
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

// The mean of the merits; nothing where a run has none.
std::optional<double> mean_merit(const Row& row, const std::function<std::optional<double>(size_t)>& merit) {
  double sum = 0;
  for (const size_t place : row) {
    const std::optional<double> one = merit(place);
    if (!one) return std::nullopt;
    sum += *one;
  }
  return row.empty() ? std::nullopt : std::optional(sum / static_cast<double>(row.size()));
}

// The evaluation at a rung; of a run that was over before, its last.
const Evaluated* evaluated_at(const RunRecord& run, size_t rung) {
  if (rung < run.rungs.size()) return &run.rungs[rung];
  return run.finished() && run.last ? &*run.last : nullptr;
}

}  // namespace

const OrderedJson& RunRecord::validation() const {
  static const OrderedJson none = OrderedJson::object();
  if (last) return last->metrics;
  return rungs.empty() ? none : rungs.back().metrics;
}

OrderedJson record_json(const RunRecord& run) {
  OrderedJson json = {{"name", run.name}, {"axes", run.axes}, {"steps", run.steps}, {"end", run.end}};
  json["rungs"] = OrderedJson::array();
  for (const Evaluated& evaluated : run.rungs) json["rungs"].push_back(evaluated_json(evaluated));
  if (run.last) json["last"] = evaluated_json(*run.last);
  json["test"] = run.test;
  json["stack"] = run.stack;
  json["best"] = run.best;
  json["seconds"] = run.seconds;
  return json;
}

void restore_record(RunRecord& run, const OrderedJson& json, const std::string& where) {
  try {
    run.steps = json.at("steps").get<int64_t>();
    run.end = json.at("end").get<std::string>();
    run.rungs.clear();
    for (const OrderedJson& evaluated : json.at("rungs")) run.rungs.push_back(evaluated_of(evaluated));
    if (json.contains("last")) run.last = evaluated_of(json["last"]);
    run.test = json.at("test");
    run.stack = json.value("stack", int64_t{1});
    run.best = json.at("best").get<bool>();
    run.seconds = json.at("seconds").get<double>();
  } catch (const OrderedJson::exception&) {
    fail(Code::bad_input, str(where, ": ", run.name), "the record of a run, as dept sweep writes it", "another");
  }
}

std::string Ranking::name(const OrderedJson& metrics) const {
  if (!metric.empty()) return "eval_" + metric;
  for (const auto& [key, value] : metrics.items())
    if (key != "eval_loss") return key;
  return metrics.empty() ? "" : "eval_loss";
}

std::optional<double> Ranking::merit(const OrderedJson& metrics) const {
  // Whose loss is none has metrics all the same, as an answer is the first label then.
  if (metrics.contains("eval_loss") && !finite(metrics, "eval_loss")) return std::nullopt;
  const std::string key = name(metrics);
  const std::optional<double> value = finite(metrics, key);
  if (!value) return value;
  return maximize.value_or(key != "eval_loss") ? *value : -*value;
}

std::vector<Row> rows_of(const std::vector<RunRecord>& runs, const std::vector<size_t>& places) {
  std::vector<Row> rows;
  std::map<std::string, size_t> known;
  for (const size_t place : places) {
    const auto [found, fresh] = known.emplace(runs[place].task + '\n' + runs[place].row, rows.size());
    if (fresh) rows.emplace_back();
    rows[found->second].push_back(place);
  }
  return rows;
}

std::vector<Row> survivors(const std::vector<RunRecord>& runs, const std::vector<Row>& rows, size_t rung, int64_t eta,
                           const Ranking& ranking) {
  const auto merit = [&](const Row& row) {
    return mean_merit(row, [&](size_t place) -> std::optional<double> {
      const Evaluated* evaluated = evaluated_at(runs[place], rung);
      return evaluated == nullptr ? std::nullopt : ranking.merit(evaluated->metrics);
    });
  };
  std::vector<std::pair<double, const Row*>> ranked;
  for (const Row& row : rows)
    if (const auto value = merit(row)) ranked.emplace_back(*value, &row);
  std::stable_sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  const size_t keep = (rows.size() + static_cast<size_t>(eta) - 1) / static_cast<size_t>(eta);
  if (ranked.size() > keep) ranked.resize(keep);
  std::vector<Row> on;
  for (const Row& row : rows)  // in the list's order
    if (std::any_of(ranked.begin(), ranked.end(), [&](const auto& one) { return one.second == &row; })) on.push_back(row);
  return on;
}

std::vector<size_t> best_row(const std::vector<RunRecord>& runs, const std::vector<Row>& rows, const Ranking& ranking) {
  const auto merit = [&](size_t place) { return ranking.merit(runs[place].validation()); };
  // Finite rows are before others, and within each kind whole ones before those that are finished in part.
  std::tuple<bool, bool, double> best_rank;
  Row best;
  for (const Row& row : rows) {
    Row finished;
    for (const size_t place : row)
      if (runs[place].finished()) finished.push_back(place);
    if (finished.empty()) continue;
    const std::optional<double> mean = mean_merit(finished, merit);
    const bool failed = std::any_of(row.begin(), row.end(), [&](size_t place) { return runs[place].failed(); });
    const std::tuple rank{mean && !failed, finished.size() == row.size(), mean.value_or(-HUGE_VAL)};
    if (best.empty() || rank > best_rank) best_rank = rank, best = finished;
  }
  std::stable_sort(best.begin(), best.end(),
                   [&](size_t a, size_t b) { return merit(a).value_or(-HUGE_VAL) > merit(b).value_or(-HUGE_VAL); });
  return best;
}

}  // namespace dept
