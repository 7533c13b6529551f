// results.jsonl and results.csv.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "dept/base/rounding.h"
#include "dept/base/text.h"
#include "sweep/records.h"

namespace dept {
namespace {

// RFC 4180: quotes where a cell needs them.
std::string cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + '"';
}

std::string cell(const OrderedJson& value) {
  if (value.is_null()) return "";
  if (value.is_string()) return cell(value.get<std::string>());
  if (!value.is_array()) return cell(value.dump());
  std::vector<std::string> items;
  for (const OrderedJson& item : value) items.push_back(item.is_string() ? item.get<std::string>() : item.dump());
  return cell(join(items, ","));
}

// The names of the metrics that some run has, in the order in which they come up.
std::vector<std::string> metric_names_of(const std::vector<RunRecord>& runs) {
  std::vector<std::string> names;
  const auto take = [&](const OrderedJson& metrics) {
    for (const auto& [name, value] : metrics.items())
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  };
  for (const RunRecord& run : runs) take(run.validation());
  for (const RunRecord& run : runs) take(run.test);
  return names;
}

// What the row's runs have under that name; a value that is not finite is none.
std::vector<double> values_of(const std::vector<RunRecord>& runs, const Row& row, const std::string& name) {
  std::vector<double> values;
  for (const size_t place : row)
    for (const OrderedJson* metrics : {&runs[place].validation(), &runs[place].test})
      if (metrics->contains(name) && (*metrics)[name].is_number()) values.push_back((*metrics)[name].get<double>());
  return values;
}

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// Of a sample.
double deviation(const std::vector<double>& values) {
  const double middle = mean(values);
  double squares = 0;
  for (const double value : values) squares += (value - middle) * (value - middle);
  return std::sqrt(squares / static_cast<double>(values.size() - 1));
}

// The first that is not "finished".
std::string end_of(const std::vector<RunRecord>& runs, const Row& row) {
  const auto found = std::find_if(row.begin(), row.end(), [&](size_t place) { return !runs[place].finished(); });
  return found == row.end() ? "finished" : runs[*found].end;
}

}  // namespace

std::string results_jsonl(const std::vector<RunRecord>& runs) {
  std::string lines;
  for (const RunRecord& run : runs) {
    if (run.end.empty()) continue;
    OrderedJson line = {{"name", run.name}};
    line.update(run.axes);
    line["steps"] = run.steps;
    line["end"] = run.end;
    line.update(run.validation());
    line.update(run.test);
    line["stack"] = run.stack;
    line["best"] = run.best;
    line["seconds"] = rounded(run.seconds, 3);
    lines += line.dump(-1, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
  }
  return lines;
}

std::string results_csv(const std::vector<RunRecord>& runs, const std::vector<std::string>& axes,
                        const std::vector<std::string>& repeat) {
  const std::vector<std::string> metrics = metric_names_of(runs);
  std::vector<std::string> shown = axes;
  std::erase_if(shown, [&](const std::string& axis) { return std::find(repeat.begin(), repeat.end(), axis) != repeat.end(); });
  std::vector<std::string> head = {"name"};
  head.insert(head.end(), shown.begin(), shown.end());
  head.insert(head.end(), {"runs", "steps", "end"});
  head.insert(head.end(), metrics.begin(), metrics.end());
  if (!repeat.empty())
    for (const std::string& metric : metrics) head.push_back(metric + "_std");
  head.push_back("seconds");
  std::string csv = join(head, ",") + "\n";

  std::vector<size_t> places(runs.size());
  std::iota(places.begin(), places.end(), size_t{0});
  for (const Row& row : rows_of(runs, places)) {
    if (std::any_of(row.begin(), row.end(), [&](size_t place) { return runs[place].end.empty(); })) continue;
    const RunRecord& first = runs[row.front()];
    int64_t steps = 0;
    double seconds = 0;
    for (const size_t place : row) steps += runs[place].steps, seconds += runs[place].seconds;
    std::vector<std::string> cells = {cell(repeat.empty() ? first.name : first.row)};
    for (const std::string& axis : shown) cells.push_back(cell(first.axes.at(axis)));
    cells.insert(cells.end(), {str(row.size()), str(steps), cell(end_of(runs, row))});
    for (const bool deviations : {false, true}) {
      if (deviations && repeat.empty()) continue;
      for (const std::string& metric : metrics) {
        const std::vector<double> values = values_of(runs, row, metric);
        const bool known = values.size() > (deviations ? 1 : 0);
        cells.push_back(known ? OrderedJson(deviations ? deviation(values) : mean(values)).dump() : "");
      }
    }
    cells.push_back(OrderedJson(rounded(seconds, 3)).dump());
    csv += join(cells, ",") + "\n";
  }
  return csv;
}

}  // namespace dept
