// Commands as they are typed.
#pragma once

#include <iterator>
#include <sstream>
#include <string>
#include <vector>

namespace dept {

/// The words of a line, apart at spaces, and `more` behind them.
inline std::vector<std::string> typed(const std::string& line, const std::vector<std::string>& more = {}) {
  std::istringstream words(line);
  std::vector<std::string> all{std::istream_iterator<std::string>(words), {}};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

}  // namespace dept
