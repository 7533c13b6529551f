// JSON lines, as the program takes and gives them.
#pragma once

#include <string>
#include <vector>

#include "dept/base/json.h"

namespace dept {

inline std::string joined(const Json& lines) {
  std::string text;
  for (const Json& line : lines) text += line.dump() + "\n";
  return text;
}

inline std::vector<Json> parsed(const std::string& lines) {
  std::vector<Json> out;
  for (size_t begin = 0, end; (end = lines.find('\n', begin)) != std::string::npos; begin = end + 1)
    out.push_back(parse_json(std::string_view(lines).substr(begin, end - begin), "stdout"));
  return out;
}

}  // namespace dept
