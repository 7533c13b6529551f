#pragma once

namespace dept {

/// A share of a whole; of nothing it is 0, scikit-learn's zero_division = 0.
inline double ratio(double part, double whole) {
  return whole == 0 ? 0 : part / whole;
}

}  // namespace dept
