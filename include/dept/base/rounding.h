// Decimal rounding.
#pragma once

#include <iomanip>
#include <sstream>
#include <string>

namespace dept {

/// `value` to that many decimals, as Python's round gives it: where it is exactly between two, the one whose last digit is even.
inline double rounded(double value, int decimals) {
  std::ostringstream out;
  out << std::fixed << std::setprecision(decimals) << value;
  return std::stod(out.str());
}

}  // namespace dept
