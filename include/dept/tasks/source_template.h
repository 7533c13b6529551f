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

/// The template of a text alone. Throws bad_input naming `where` for one that names another column; `instead` says what would do.
std::string fill_template(std::string_view source_template, const std::string& text, const std::string& where,
                          std::string_view instead);

}  // namespace dept
