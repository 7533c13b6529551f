// Regular expressions as Python's re has them, where the original makes one of a row's text. Matched by PCRE2.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace dept {

/// What re.sub makes of a replacement without groups: \n, \t, .. and \\ are what they stand for, other marks keep their
/// backslash. Throws std::invalid_argument with Python's words for what is an error there, or for what is not known here.
std::string expand_replacement(std::string_view text);

/// A pattern behind a text that is already known: ^(prefix)pattern, the prefix being group 1.
class PythonPattern {
 public:
  /// The characters, groups (?: ?= ?! ?> ?#), classes, alternatives and quantifiers of Python 3.11's re. Throws as
  /// expand_replacement. `anchored`: whether the prefix is there at all; else nothing behind it matches.
  PythonPattern(std::string_view prefix, bool anchored, std::string_view pattern);
  ~PythonPattern();

  /// re.sub(pattern, "\1" before "\2" behind, text). Throws std::invalid_argument when matching takes too long.
  std::string substitute(std::string_view text, std::string_view before, std::string_view behind) const;

 private:
  struct Code;
  std::unique_ptr<Code> code_;
};

}  // namespace dept
