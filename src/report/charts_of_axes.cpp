#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "dept/base/text.h"
#include "report/charts.h"
#include "report/html.h"
#include "report/scale.h"
#include "report/svg.h"

namespace dept {
namespace {

struct Colour {
  double red, green, blue;  // 0 to 1
};

// Cividis at ten places: dark blue to yellow, alike for all kinds of colour vision, and grey by its lightness.
constexpr std::array<uint32_t, 10> cividis = {0x00224E, 0x123570, 0x3B496C, 0x575D6D, 0x707173,
                                              0x8A8678, 0xA59C74, 0xC3B369, 0xE1CC55, 0xFEE838};

Colour colour_at(double share) {
  const double at = std::clamp(share, 0.0, 1.0) * (cividis.size() - 1);
  const auto low = std::min(static_cast<size_t>(at), cividis.size() - 2);
  const auto part = [&](int shift) {
    const auto channel = [&](size_t i) { return static_cast<double>(cividis[i] >> shift & 0xFF) / 255; };
    return channel(low) + (at - static_cast<double>(low)) * (channel(low + 1) - channel(low));
  };
  return {part(16), part(8), part(0)};
}

std::string hex(const Colour& colour) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text = "#";
  for (const double channel : {colour.red, colour.green, colour.blue}) {
    const auto value = static_cast<size_t>(std::lround(channel * 255));
    text += digits[value >> 4];
    text += digits[value & 15];
  }
  return text;
}

// Relative luminance and the contrast of text, as WCAG 2 defines them.
double luminance(const Colour& colour) {
  const auto linear = [](double c) { return c <= 0.04045 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4); };
  return 0.2126 * linear(colour.red) + 0.7152 * linear(colour.green) + 0.0722 * linear(colour.blue);
}

// Black or white, whichever stands out more: 4.5 to 1 at least on any ground.
std::string_view ink_on(const Colour& ground) {
  const double light = luminance(ground);
  return 1.05 / (light + 0.05) > (light + 0.05) / 0.05 ? "#ffffff" : "#000000";
}

std::string cell(double x, double y, double width, double height, double value, double share, const std::string& name) {
  const Colour ground = colour_at(share);
  std::string out = str("<g><title>", html::escape(name), "</title><rect x=\"", place(x), "\" y=\"", place(y), "\" width=\"",
                        place(width - 1), "\" height=\"", place(height - 1), "\" fill=\"", hex(ground), "\"/>");
  const std::string text = html::fixed(value, std::abs(value) < 10 ? 2 : 1);
  if (width > 6.2 * static_cast<double>(text.size()) && height > 13)
    out += str("<text class=\"cell\" x=\"", place(x + width / 2 - 0.5), "\" y=\"", place(y + height / 2 + 3.5),
               "\" text-anchor=\"middle\" style=\"fill:", ink_on(ground), "\">", text, "</text>");
  return out + "</g>\n";
}

// The places of an axis's values: numbers by their size, else names by their order.
class Axis {
 public:
  explicit Axis(const Parallel& chart, size_t axis) : scale_(numbers(chart, axis), 20) {
    for (const Parallel::Line& line : chart.lines) {
      const std::string& value = line.values[axis];
      numeric_ = numeric_ && number_in(value);
      if (std::find(names_.begin(), names_.end(), value) == names_.end()) names_.push_back(value);
    }
    if (!numeric_) std::sort(names_.begin(), names_.end());
  }

  double place(const std::string& value) const {
    if (numeric_) return scale_.place(*number_in(value));
    const double at = static_cast<double>(std::find(names_.begin(), names_.end(), value) - names_.begin());
    return names_.size() < 2 ? 0.5 : at / static_cast<double>(names_.size() - 1);
  }

  std::vector<Tick> ticks() const {
    if (!numeric_) {
      std::vector<Tick> some;
      for (size_t i = 0; i < names_.size(); i += 1 + names_.size() / 12) some.push_back({place(names_[i]), names_[i]});
      return some;
    }
    std::vector<Tick> found;
    for (const Tick& tick : scale_.ticks(4)) found.push_back({scale_.place(tick.value), tick.text});
    return found;
  }

 private:
  static std::vector<double> numbers(const Parallel& chart, size_t axis) {
    std::vector<double> values;
    for (const Parallel::Line& line : chart.lines)
      if (const auto value = number_in(line.values[axis])) values.push_back(*value);
    return values;
  }
  bool numeric_ = true;
  Scale scale_;
  std::vector<std::string> names_;
};

}  // namespace

std::string heat_map(const HeatMap& map) {
  std::vector<double> values;
  for (const auto& row : map.cells)
    for (const auto& value : row)
      if (value && std::isfinite(*value)) values.push_back(*value);
  const Scale scale(values);
  constexpr double left = 70, top = 8, right = 352, bottom = 190;
  const double width = (right - left) / static_cast<double>(map.x_values.size());
  const double height = (bottom - top) / static_cast<double>(map.y_values.size());
  std::string body;
  for (size_t row = 0; row < map.y_values.size(); ++row) {
    const double y = bottom - height * static_cast<double>(row + 1);
    if (height > 10 || row % 2 == 0)
      body += text_at(left - 5, y + height / 2 + 4, "end", html::cut(map.y_values[row], 8), "tick");
    for (size_t column = 0; column < map.x_values.size(); ++column) {
      const std::optional<double>& value = map.cells[row][column];
      if (!value || !std::isfinite(*value)) continue;
      body += cell(left + width * static_cast<double>(column), y, width, height, *value, scale.place(*value),
                   str(map.x, " ", map.x_values[column], ", ", map.y, " ", map.y_values[row], ": ", html::number(*value)));
    }
  }
  const size_t every = 1 + static_cast<size_t>(40 / width);
  for (size_t column = 0; column < map.x_values.size(); column += every)
    body +=
        text_at(left + width * (static_cast<double>(column) + 0.5), bottom + 15, "middle",
                html::cut(map.x_values[column], std::max<size_t>(3, static_cast<size_t>(width * static_cast<double>(every) / 6))),
                "tick");
  body += text_at((left + right) / 2, Frame::height - 8, "middle", html::cut(map.x, 45), "name");
  body += str("<text class=\"name\" text-anchor=\"middle\" transform=\"translate(12 ", place((top + bottom) / 2),
              ") rotate(-90)\">", html::escape(html::cut(map.y, 28)), "</text>\n");
  return figure(map.label, body, "the lighter the higher; cells without a run are empty");
}

std::string parallel_coordinates(const Parallel& chart) {
  constexpr double left = 30, right = 330, top = 14, bottom = 188;
  const double step = (right - left) / static_cast<double>(std::max<size_t>(2, chart.axes.size()) - 1);
  const auto x = [&](size_t axis) { return left + step * static_cast<double>(axis); };
  std::string body, lines, best;
  std::vector<Axis> axes;
  for (size_t i = 0; i < chart.axes.size(); ++i) {
    axes.emplace_back(chart, i);
    body += line(x(i), top, x(i), bottom, "axis");
    const double name_y = bottom + (i % 2 == 0 ? 18 : 36);  // in turns, so that long names do not meet
    const char* anchor = i == 0 ? "start" : i + 1 == chart.axes.size() ? "end" : "middle";
    body += text_at(i == 0                       ? 2
                    : i + 1 == chart.axes.size() ? Frame::width - 2
                                                 : x(i),
                    name_y, anchor, html::cut(chart.axes[i], static_cast<size_t>(std::clamp(2 * step / 6, 6.0, 30.0))), "name");
  }
  for (const Parallel::Line& one : chart.lines) {
    std::string path, title = one.name;
    for (size_t i = 0; i < axes.size(); ++i)
      path += str(i == 0 ? "M" : "L", place(x(i)), " ", place(bottom - (bottom - top) * axes[i].place(one.values[i])));
    (one.best ? best : lines) += str("<g class=\"run\"><title>", html::escape(title), "</title><path class=\"hit\" d=\"", path,
                                     "\"/><path class=\"line ", one.best ? "c1 best" : "muted", "\" d=\"", path, "\"/></g>\n");
  }
  std::string ticks;
  for (size_t i = 0; i < axes.size(); ++i)
    for (const Tick& tick : axes[i].ticks())
      ticks += text_at(x(i) + 3, bottom - (bottom - top) * tick.value - 2, "start",
                       html::cut(tick.text, i + 1 == axes.size() ? 5 : 8), "tick halo");
  return figure(chart.label, body + lines + best + ticks,
                "<span class=\"key kb\">best</span> <span class=\"key muted\">the others</span>");
}

}  // namespace dept
