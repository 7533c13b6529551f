#include "report/scale.h"

#include <algorithm>
#include <cmath>

#include "report/html.h"

namespace dept {
namespace {

constexpr double largest = 1e150;          // spans of such values are finite
constexpr double least_difference = 1e-9;  // of values that are not the same, to the largest of them

// 1, 2 or 5 times a power of ten, the nearest above.
double round_step(double step) {
  const double power = std::pow(10, std::floor(std::log10(step)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * power >= step * (1 - 1e-9)) return factor * power;
  return 10 * power;
}

}  // namespace

Scale::Scale(const std::vector<double>& values, double log_from) {
  std::vector<double> finite;
  for (const double value : values)
    if (std::isfinite(value)) finite.push_back(std::clamp(value, -largest, largest));
  if (finite.empty()) return;
  const auto [low, high] = std::minmax_element(finite.begin(), finite.end());
  low_ = *low, high_ = *high;
  log_ = low_ > 0 && high_ > low_ * log_from;
  const double size = std::max(std::abs(low_), std::abs(high_));
  if (high_ - low_ > size * least_difference) return;  // of less, as rounding leaves, marks would have no end
  const double room = size == 0 ? 1 : size * 0.1;
  low_ -= room, high_ += room;
}

double Scale::place(double value) const {
  const double inside = std::clamp(value, low_, high_);
  return log_ ? std::log(inside / low_) / std::log(high_ / low_) : (inside - low_) / (high_ - low_);
}

std::vector<Tick> Scale::ticks(int about) const {
  std::vector<Tick> found;
  const auto add = [&](double value) { found.push_back({value, html::number(value)}); };
  if (log_) {
    const double first = std::ceil(std::log10(low_) - 1e-9), last = std::floor(std::log10(high_) + 1e-9);
    const double step = std::max(1.0, std::ceil((last - first) / about));
    for (double power = first; power <= last; power += step) add(std::pow(10, power));
    if (found.size() >= 2) return found;
    found.clear();
    add(low_);
    add(high_);
    return found;
  }
  const double step = round_step((high_ - low_) / about);
  for (double i = std::ceil(low_ / step - 1e-9); i * step <= high_ + step * 1e-9; ++i) add(i == 0 ? 0 : i * step);
  return found;
}

}  // namespace dept
