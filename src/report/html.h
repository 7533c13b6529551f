// Pieces of an HTML page. All text that comes in is shown as text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "dept/base/json.h"

namespace dept::html {

/// Text for an element or an attribute's value: markup escaped, control characters as U+FFFD.
std::string escape(std::string_view text);

/// The first `limit` code points, with an ellipsis where there are more.
std::string cut(std::string_view text, size_t limit);

/// Six significant digits; "" for what is not finite.
std::string number(double value);
/// With `digits` digits behind the point.
std::string fixed(double value, int digits);
/// 1234567 -> "1,234,567".
std::string grouped(int64_t count);

/// A value of JSON as people write it: strings without quotes, lists by commas, null as nothing.
std::string shown(const OrderedJson& value);

/// A table of text; `form` is its class: "cards" is shown as one card a row on a narrow page.
class Table {
 public:
  Table(std::string form, std::vector<std::string> columns) : form_(std::move(form)), columns_(std::move(columns)) {}
  /// Cells are escaped; of a row with `strong` the first cell is emphasised.
  void row(const std::vector<std::string>& cells, bool strong = false);
  std::string text() const;

 private:
  std::string form_;
  std::vector<std::string> columns_;
  std::string rows_;
};

/// <section> with a heading.
std::string section(std::string_view title, std::string_view body);
/// <p> of text.
std::string paragraph(std::string_view text);

}  // namespace dept::html
