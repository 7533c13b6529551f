// Runs side by side, as a table and charts.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "dept/base/text.h"
#include "report/html.h"
#include "report/page.h"
#include "report/paper.h"

namespace dept {
namespace {

constexpr size_t most_rows = 500, most_axes_shown = 12;

bool repeats(const Comparison& comparison, const std::string& axis) {
  return std::find(comparison.repeat.begin(), comparison.repeat.end(), axis) != comparison.repeat.end();
}

// In what the runs of a group differ, if in any option.
std::string repeated_in(const Comparison& comparison) {
  return comparison.repeat.empty() ? "runs" : join(comparison.repeat, ", ");
}

// The places of the axes that tell groups apart and have more than one value.
std::vector<size_t> varying_axes(const Comparison& comparison) {
  std::vector<size_t> places;
  for (size_t i = 0; i < comparison.axes.size(); ++i) {
    std::set<std::string> values;
    for (const ComparedRun& run : comparison.runs) values.insert(run.values[i]);
    if (values.size() > 1 && !repeats(comparison, comparison.axes[i])) places.push_back(i);
  }
  return places;
}

std::vector<std::string> metrics_of(const Comparison& comparison) {
  std::vector<std::string> names;
  for (const ComparedRun& run : comparison.runs)
    for (const auto& [name, value] : run.metrics) {
      const bool shown = is_metric(name) || name == "eval_loss" || name == "test_loss";
      if (shown && std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  return names;
}

std::string figure_text(const std::string& name, double value) {
  return is_metric(name) ? html::fixed(value, 2) : html::number(value);
}

// An axis's values as a heat map has them: sorted, of many numbers ranges of them.
class Bins {
 public:
  explicit Bins(std::vector<std::string> values) {
    constexpr size_t most = 12, ranges = 8;
    std::sort(values.begin(), values.end());
    values.erase(std::unique(values.begin(), values.end()), values.end());
    numeric_ = std::all_of(values.begin(), values.end(), [](const std::string& value) { return number_in(value).has_value(); });
    if (numeric_)
      std::stable_sort(values.begin(), values.end(), [](const auto& a, const auto& b) { return *number_in(a) < *number_in(b); });
    if (!numeric_ || values.size() <= most) {
      names_ = values;
      return;
    }
    low_ = *number_in(values.front()), high_ = *number_in(values.back());
    log_ = low_ > 0 && high_ > 20 * low_;
    for (size_t i = 0; i < ranges; ++i) names_.push_back(html::number(std::stod(html::fixed(edge(i, ranges), 12))));
    binned_ = true;
  }

  const std::vector<std::string>& names() const { return names_; }
  size_t of(const std::string& value) const {
    if (!binned_) return static_cast<size_t>(std::find(names_.begin(), names_.end(), value) - names_.begin());
    size_t at = 0;
    while (at + 1 < names_.size() && *number_in(value) >= edge(at + 1, names_.size())) ++at;
    return at;
  }
  bool binned() const { return binned_; }

 private:
  double edge(size_t i, size_t count) const {
    const double share = static_cast<double>(i) / static_cast<double>(count);
    return log_ ? low_ * std::pow(high_ / low_, share) : low_ + share * (high_ - low_);
  }
  std::vector<std::string> names_;
  double low_ = 0, high_ = 0;
  bool numeric_ = false, log_ = false, binned_ = false;
};

std::string axis_title(const std::string& axis, const Bins& bins) {
  return bins.binned() ? axis + ", from" : axis;
}

std::string heat_map_of(const Comparison& comparison, size_t x_axis, size_t y_axis) {
  std::vector<std::string> xs, ys;
  for (const ComparedRun& run : comparison.runs) {
    xs.push_back(run.values[x_axis]);
    ys.push_back(run.values[y_axis]);
  }
  const Bins x(xs), y(ys);
  std::map<std::pair<size_t, size_t>, std::vector<double>> found;
  for (const ComparedRun& run : comparison.runs)
    if (const double* value = find_figure(run.metrics, comparison.metric))
      found[{y.of(run.values[y_axis]), x.of(run.values[x_axis])}].push_back(*value);
  const std::string &x_name = comparison.axes[x_axis], &y_name = comparison.axes[y_axis];
  HeatMap map{str(metric_title(comparison.metric), " by ", x_name, " and ", y_name, ", ", comparison.title),
              axis_title(x_name, x),
              axis_title(y_name, y),
              x.names(),
              y.names(),
              {}};
  map.cells.assign(y.names().size(), std::vector<std::optional<double>>(x.names().size()));
  for (const auto& [at, values] : found) map.cells[at.first][at.second] = mean(values);
  return heat_map(map);
}

std::string parallel_of(const Comparison& comparison, const std::vector<size_t>& axes) {
  Parallel chart;
  std::vector<size_t> shown(axes.begin(), axes.begin() + static_cast<std::ptrdiff_t>(std::min(axes.size(), most_axes_shown)));
  for (const size_t axis : shown) chart.axes.push_back(comparison.axes[axis]);
  chart.axes.push_back(metric_title(comparison.metric));
  chart.label = str(metric_title(comparison.metric), " by ", join({chart.axes.begin(), chart.axes.end() - 1}, ", "), ", ",
                    comparison.title);
  for (const ComparedRun& run : comparison.runs) {
    const double* value = find_figure(run.metrics, comparison.metric);
    if (value == nullptr || chart.lines.size() == most_rows) continue;
    Parallel::Line line{str(run.name, ": ", html::number(*value)), {}, run.best};
    for (const size_t axis : shown) line.values.push_back(run.values[axis]);
    line.values.push_back(html::number(*value));
    chart.lines.push_back(std::move(line));
  }
  return chart.lines.empty() ? "" : parallel_coordinates(chart);
}

// Of groups of several runs the points; of one axis the course over its values.
std::string spread_of(const Comparison& comparison, const std::vector<RunGroup>& groups, const std::vector<size_t>& axes) {
  constexpr size_t most = 60;
  const bool repeated = std::any_of(groups.begin(), groups.end(), [](const RunGroup& group) { return group.runs.size() > 1; });
  if (!repeated && axes.size() != 1) return "";
  Spread chart{str(metric_title(comparison.metric), repeated ? " and its spread over " : " by ",
                   repeated ? repeated_in(comparison) : comparison.axes[axes.front()], ", ", comparison.title),
               metric_title(comparison.metric),
               {}};
  for (const RunGroup& group : groups)
    if (std::vector<double> values = group.figures(comparison.metric); !values.empty() && chart.groups.size() < most)
      chart.groups.push_back({axes.size() == 1 ? group.runs.front()->values[axes.front()] : group.name, std::move(values)});
  return chart.groups.empty() ? "" : spread_chart(chart);
}

// Means and deviations by group.
std::string group_table(const Comparison& comparison, const std::vector<RunGroup>& groups,
                        const std::vector<std::string>& metrics) {
  std::vector<std::string> columns = {"configuration", "runs"};
  for (const std::string& metric : metrics) columns.push_back(metric_title(metric));
  html::Table table("cards", columns);
  size_t rows = 0;
  for (const RunGroup& group : groups) {
    if (++rows > most_rows) break;
    std::vector<std::string> cells = {html::cut(group.name, 200), str(group.runs.size())};
    for (const std::string& metric : metrics) {
      const std::vector<double> values = group.figures(metric);
      const std::optional<double> spread = deviation(values);
      cells.push_back(
          values.empty() ? "" : figure_text(metric, mean(values)) + (spread ? " \xC2\xB1 " + figure_text(metric, *spread) : ""));
    }
    const bool best = std::any_of(group.runs.begin(), group.runs.end(), [](const ComparedRun* run) { return run->best; });
    table.row(cells, best);
  }
  return str("<h3>Mean and deviation over ", html::escape(repeated_in(comparison)), "</h3>\n", table.text());
}

// The task that all runs have.
const PaperFigure* paper_of(const Comparison& comparison) {
  const PaperFigure* paper = comparison.runs.empty() ? nullptr : paper_figure(comparison.runs.front().run->option("task_name"));
  for (const ComparedRun& run : comparison.runs)
    if (paper != paper_figure(run.run->option("task_name"))) return nullptr;
  return paper;
}

}  // namespace

std::string comparison_table(const Comparison& comparison) {
  const std::vector<std::string> metrics = metrics_of(comparison);
  const auto any = [&](auto has) { return std::any_of(comparison.runs.begin(), comparison.runs.end(), has); };
  const bool steps = any([](const ComparedRun& run) { return !run.end.empty(); });
  const bool seconds = any([](const ComparedRun& run) { return run.seconds.has_value(); });
  const bool memory = any([](const ComparedRun& run) { return run.run->peak_memory().has_value(); });
  std::vector<std::string> columns = {"run"};
  columns.insert(columns.end(), comparison.axes.begin(), comparison.axes.end());
  if (steps) columns.insert(columns.end(), {"steps", "end"});
  for (const std::string& metric : metrics) columns.push_back(metric_title(metric));
  if (seconds) columns.push_back("seconds");
  if (memory) columns.push_back("peak memory");
  html::Table table("cards", columns);
  for (size_t i = 0; i < std::min(comparison.runs.size(), most_rows); ++i) {
    const ComparedRun& run = comparison.runs[i];
    std::vector<std::string> cells = {str(html::cut(run.name, 120), run.best ? " (best)" : "")};
    for (const std::string& value : run.values) cells.push_back(html::cut(value, 120));
    if (steps) cells.insert(cells.end(), {run.steps, html::cut(run.end, 200)});
    for (const std::string& metric : metrics) {
      const double* value = find_figure(run.metrics, metric);
      cells.push_back(value == nullptr ? "" : figure_text(metric, *value));
    }
    if (seconds) cells.push_back(run.seconds ? html::fixed(*run.seconds, 1) : "");
    const std::optional<double> bytes = run.run->peak_memory();
    if (memory) cells.push_back(bytes ? str(html::fixed(*bytes / 1e9, 2), " GB") : "");
    table.row(cells, run.best);
  }
  std::string body = table.text();
  if (comparison.runs.size() > most_rows)
    body += html::paragraph(str("The first ", most_rows, " of ", comparison.runs.size(), " runs."));
  if (const PaperFigure* paper = paper_of(comparison))
    body += html::paragraph(str("The paper's ", paper->metric, " on the test data: ", html::fixed(paper->value, 1), " (T5-base, ",
                                paper->setting, ", arXiv 2309.05173)."));
  const std::vector<RunGroup> groups = groups_of(comparison);
  if (groups.size() < comparison.runs.size()) body += group_table(comparison, groups, metrics);
  return html::section(str("All runs: ", comparison.title), body);
}

std::string comparison_charts(const Comparison& comparison) {
  if (comparison.metric.empty() || comparison.runs.size() < 2) return "";
  const std::vector<size_t> axes = varying_axes(comparison);
  std::string charts;
  if (axes.size() == 2) charts += heat_map_of(comparison, axes[0], axes[1]);
  if (axes.size() > 2) charts += parallel_of(comparison, axes);
  charts += spread_of(comparison, groups_of(comparison), axes);
  return charts.empty() ? ""
                        : html::section(str("What made the difference: ", comparison.title),
                                        str("<div class=\"charts\">\n", charts, "</div>\n"));
}

}  // namespace dept
