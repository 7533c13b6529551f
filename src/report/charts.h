// Charts as inline SVG: as wide as a telephone, so that their text keeps its size there; colours and fonts are the page's
// (style.cpp). Each has role="img" and `label` as its text alternative, which is to be unique on the page.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace dept {

using Curve = std::vector<std::pair<double, double>>;  ///< x, y

struct Series {
  std::string name;  ///< shown when the pointer is on it, and in the legend of a few
  Curve points;
  bool best = false;  ///< stands out among many
};

/// Lines, of up to six with a legend; of more the best stands out. Figures that are not finite are left out.
struct LineChart {
  std::string label, x, y;
  std::vector<Series> series;
};
std::string line_chart(const LineChart& chart);

/// One bar a value; `names` are shown when the pointer is on one.
struct BarChart {
  std::string label, x, y;
  std::vector<double> values;
  std::vector<std::string> names;
};
std::string bar_chart(const BarChart& chart);

/// Cells by two axes; `cells` [y][x].
struct HeatMap {
  std::string label, x, y;
  std::vector<std::string> x_values, y_values;
  std::vector<std::vector<std::optional<double>>> cells;
};
std::string heat_map(const HeatMap& map);

/// A line a row over several axes, whose values are numbers or names.
struct Parallel {
  struct Line {
    std::string name;
    std::vector<std::string> values;  ///< one an axis
    bool best = false;
  };
  std::string label;
  std::vector<std::string> axes;
  std::vector<Line> lines;
};
std::string parallel_coordinates(const Parallel& chart);

/// Points of each group, with their mean and deviation.
struct Spread {
  struct Group {
    std::string name;
    std::vector<double> values;
  };
  std::string label, y;
  std::vector<Group> groups;
};
std::string spread_chart(const Spread& chart);

/// Reliability: what was right, by how sure the answers were, both 0 to 1; the diagonal is perfect.
struct Reliability {
  struct Bin {
    double confidence, accuracy;
    long examples;
  };
  std::string label;
  std::vector<Bin> bins;
};
std::string reliability_chart(const Reliability& chart);

double mean(const std::vector<double>& values);
/// Of a sample (n - 1); nothing for fewer than two.
std::optional<double> deviation(const std::vector<double>& values);

/// The value of a text that is a number as a whole.
std::optional<double> number_in(const std::string& text);

}  // namespace dept
