// From values to places on a chart.
#pragma once

#include <string>
#include <vector>

namespace dept {

struct Tick {
  double value = 0;
  std::string text;
};

/// Maps [low, high] of the values onto [0, 1], by their logarithms where they are positive and span more than `log_from` times.
class Scale {
 public:
  static constexpr double never = 1e300;
  /// Of values that are not finite nothing is taken; without any the scale is [0, 1].
  explicit Scale(const std::vector<double>& values, double log_from = never);

  double place(double value) const;
  bool logarithmic() const { return log_; }
  /// Round values within the range, `about` in number.
  std::vector<Tick> ticks(int about) const;

 private:
  double low_ = 0, high_ = 1;
  bool log_ = false;
};

}  // namespace dept
