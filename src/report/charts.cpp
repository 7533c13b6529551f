#include "report/charts.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numeric>

#include "dept/base/text.h"
#include "report/html.h"
#include "report/scale.h"
#include "report/svg.h"

namespace dept {
namespace {

constexpr size_t most_named = 6;  // as many colours as there are

// Of many points as many as can be told apart; the last one stays.
Curve thinned(const Curve& points, size_t most) {
  Curve kept;
  for (const auto& point : points)
    if (std::isfinite(point.first) && std::isfinite(point.second)) kept.push_back(point);
  if (kept.size() <= most) return kept;
  Curve some;
  for (size_t i = 0; i < most; ++i) some.push_back(kept[i * (kept.size() - 1) / (most - 1)]);
  return some;
}

std::vector<double> all_of(const std::vector<Series>& series, bool y) {
  std::vector<double> values;
  for (const Series& one : series)
    for (const auto& point : one.points) values.push_back(y ? point.second : point.first);
  return values;
}

std::string path_of(const Frame& frame, const Curve& points) {
  std::string path;
  for (const auto& [x, y] : points) path += str(path.empty() ? "M" : "L", place(frame.x(x)), " ", place(frame.y(y)));
  return path;
}

std::string drawn(const Frame& frame, const Series& series, const std::string& form) {
  std::string marks;
  if (series.points.size() == 1) {
    const auto& [x, y] = series.points.front();
    marks = str("<circle class=\"dot ", form, "\" cx=\"", place(frame.x(x)), "\" cy=\"", place(frame.y(y)), "\" r=\"4\"/>");
  } else {
    const std::string path = path_of(frame, series.points);
    marks = str("<path class=\"hit\" d=\"", path, "\"/><path class=\"line ", form, "\" d=\"", path, "\"/>");
  }
  return str("<g class=\"run\"><title>", html::escape(series.name), "</title>", marks, "</g>\n");
}

std::string legend(const std::vector<Series>& series) {
  std::string keys;
  for (size_t i = 0; i < series.size(); ++i)
    keys += str("<span class=\"key k", i, "\">", html::escape(html::cut(series[i].name, 60)), "</span> ");
  return keys;
}

std::string many_legend(const std::vector<Series>& series) {
  for (const Series& one : series)
    if (one.best)
      return str("<span class=\"key kb\">best: ", html::escape(html::cut(one.name, 60)), "</span> <span class=\"key muted\">",
                 series.size() - 1, " others</span>");
  return str("<span class=\"key muted\">", series.size(), " runs</span>");
}

}  // namespace

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

std::optional<double> deviation(const std::vector<double>& values) {
  if (values.size() < 2) return std::nullopt;
  const double centre = mean(values);
  double sum = 0;
  for (const double value : values) sum += (value - centre) * (value - centre);
  return std::sqrt(sum / static_cast<double>(values.size() - 1));
}

std::optional<double> number_in(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size() && std::isfinite(value);
  return whole ? std::optional(value) : std::nullopt;
}

std::string line_chart(const LineChart& chart) {
  constexpr double log_from = 50;
  std::vector<Series> series = chart.series;
  const size_t most = std::clamp<size_t>(6000 / std::max<size_t>(1, series.size()), 20, 200);
  for (Series& one : series) one.points = thinned(one.points, most);
  std::erase_if(series, [](const Series& one) { return one.points.empty(); });
  const Frame frame(Scale(all_of(series, false)), Scale(all_of(series, true), log_from));
  std::string body = frame.axes(chart.x, chart.y);
  const bool named = series.size() <= most_named;
  std::string best;
  for (size_t i = 0; i < series.size(); ++i) {
    const bool stands_out = !named && series[i].best;
    const std::string mark = drawn(frame, series[i], named ? str("c", i) : stands_out ? "c1 best" : "muted");
    (stands_out ? best : body) += mark;
  }
  return figure(chart.label, body + best, named ? legend(series) : many_legend(series));
}

std::string bar_chart(const BarChart& chart) {
  std::vector<double> range = chart.values, places{0, static_cast<double>(chart.values.size())};
  range.push_back(0);
  const Frame frame{Scale(places), Scale(range)};
  std::string body = frame.axes(chart.x, chart.y);
  for (size_t i = 0; i < chart.values.size(); ++i) {
    if (!std::isfinite(chart.values[i])) continue;
    const double left = frame.x(static_cast<double>(i)), right = frame.x(static_cast<double>(i + 1));
    const double zero = frame.y(0), top = frame.y(chart.values[i]);
    const double gap = right - left > 3 ? 1 : 0;
    body += str("<rect class=\"bar\" x=\"", place(left), "\" y=\"", place(std::min(top, zero)), "\" width=\"",
                place(right - left - gap), "\" height=\"", place(std::abs(zero - top)), "\"><title>",
                html::escape(chart.names[i]), "</title></rect>\n");
  }
  return figure(chart.label, body, "");
}

std::string spread_chart(const Spread& chart) {
  std::vector<double> range;
  for (const Spread::Group& group : chart.groups) range.insert(range.end(), group.values.begin(), group.values.end());
  const double groups = static_cast<double>(chart.groups.size());
  const Frame frame{Scale({0, groups}), Scale(range)};
  std::string body = frame.axes("", chart.y, false);
  for (size_t i = 0; i < chart.groups.size(); ++i) {
    const Spread::Group& group = chart.groups[i];
    const double x = frame.x(static_cast<double>(i) + 0.5), centre = mean(group.values);
    const std::optional<double> spread = deviation(group.values);
    std::string text = str(group.name, ": ", html::number(centre));
    if (spread) text += str(" \xC2\xB1 ", html::number(*spread), ", ", group.values.size(), " runs");
    body += str("<g class=\"run\"><title>", html::escape(text), "</title>");
    if (spread) body += line(x, frame.y(centre - *spread), x, frame.y(centre + *spread), "whisker");
    for (const double value : group.values)
      body += str("<circle class=\"dot c0\" cx=\"", place(x), "\" cy=\"", place(frame.y(value)), "\" r=\"3\"/>");
    body += line(x - 7, frame.y(centre), x + 7, frame.y(centre), "mean") + "</g>\n";
    const double slot = frame.x(1) - frame.x(0);
    if (slot > 30) body += text_at(x, Frame::bottom + 14, "middle", html::cut(group.name, static_cast<size_t>(slot / 6)), "tick");
  }
  return figure(chart.label, body, "a dot a run, the bar is the mean, the line one deviation of a sample to either side");
}

std::string reliability_chart(const Reliability& chart) {
  const Frame frame{Scale({0, 1}), Scale({0, 1})};
  std::string body = frame.axes("how sure (largest score)", "share of right answers");
  body += line(frame.x(0), frame.y(0), frame.x(1), frame.y(1), "whisker");
  Curve points;
  for (const Reliability::Bin& bin : chart.bins) points.emplace_back(bin.confidence, bin.accuracy);
  if (points.size() > 1) body += str("<path class=\"line c0\" d=\"", path_of(frame, points), "\"/>");
  for (const Reliability::Bin& bin : chart.bins)
    body += str("<circle class=\"dot c0\" cx=\"", place(frame.x(bin.confidence)), "\" cy=\"", place(frame.y(bin.accuracy)),
                "\" r=\"4\"><title>", bin.examples, " examples: ", html::fixed(100 * bin.confidence, 1), " % sure, ",
                html::fixed(100 * bin.accuracy, 1), " % right</title></circle>");
  return figure(chart.label, body, "on the dashed line scores are right as often as they say");
}

}  // namespace dept
