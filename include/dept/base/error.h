// The one exception type of the library. A message reads "[where] expected X, received Y".
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace dept {

/// What went wrong, and the program's exit code for it.
enum class Code : int { bug = 1, usage = 2, bad_input = 3, io = 4, resource = 5 };

class Error : public std::runtime_error {
 public:
  Error(Code code, const std::string& message) : std::runtime_error(message), code_(code) {}
  Code code() const { return code_; }
  int exit_code() const { return static_cast<int>(code_); }

 private:
  Code code_;
};

/// Throws Error with "[where] expected <expected>, received <received>".
[[noreturn]] void fail(Code code, std::string_view where, std::string_view expected, std::string_view received);

}  // namespace dept
