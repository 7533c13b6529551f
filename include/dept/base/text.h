// Small string helpers: concatenation, UTF-8 validation, quoting for messages.
#pragma once

#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace dept {

/// str("m ", 40, " r ", 45) == "m 40 r 45".
template <class... Parts>
std::string str(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

/// Offset of the first byte that is not valid UTF-8 (surrogates and overlong forms are invalid), or npos.
size_t find_invalid_utf8(std::string_view bytes);

/// The text in double quotes for an error message: control and invalid bytes escaped, cut to `limit` bytes with "...".
std::string quote(std::string_view text, size_t limit = 60);

/// Of `candidates` the one with the smallest edit distance to `name`, or "" when none is near enough to suggest.
std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates);

/// Without ASCII white space at both ends.
std::string_view strip(std::string_view text);

/// join({"a", "b"}, ", ") == "a, b".
std::string join(const std::vector<std::string>& parts, std::string_view separator);

}  // namespace dept
