// Whether texts are numbers.
#pragma once

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dept/base/text.h"

namespace dept {

/// The number that the whole of a stripped text is.
template <class Number>
std::optional<Number> number_of(std::string_view text) {
  text = strip(text);
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

inline bool all_integers(const std::vector<std::string>& texts) {
  return std::all_of(texts.begin(), texts.end(), [](const std::string& text) { return number_of<int64_t>(text).has_value(); });
}

}  // namespace dept
