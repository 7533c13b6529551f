// The frame of a chart and the marks in it.
#pragma once

#include <string>
#include <string_view>

#include "report/scale.h"

namespace dept {

/// A place on a chart, to a tenth.
std::string place(double value);

std::string line(double x1, double y1, double x2, double y2, std::string_view form);
/// Escaped text; `anchor` is start, middle or end.
std::string text_at(double x, double y, std::string_view anchor, std::string_view text, std::string_view form);

/// <figure> with the chart, its title and the text below it (HTML).
std::string figure(std::string_view label, std::string_view body, std::string_view below);

/// The rectangle between the axes.
class Frame {
 public:
  static constexpr double width = 360, height = 240, left = 52, right = 338, top = 14, bottom = 196;
  Frame(Scale x, Scale y) : x_(std::move(x)), y_(std::move(y)) {}

  double x(double value) const { return left + (right - left) * x_.place(value); }
  double y(double value) const { return bottom - (bottom - top) * y_.place(value); }
  /// Axes with ticks and names.
  std::string axes(std::string_view x, std::string_view y, bool x_ticks = true) const;

 private:
  Scale x_, y_;
};

}  // namespace dept
