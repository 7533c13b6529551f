// A template such as "{text} Label :" and what it becomes for a row.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace dept {

struct TemplatePart {
  bool column = false;
  std::string text;  // a column's name, or words as they are
};

/// Throws usage for a brace that is neither doubled nor part of {name}.
std::vector<TemplatePart> parse_source_template(std::string_view text);

}  // namespace dept
