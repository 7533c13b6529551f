// The one exception type of the library. A message reads "[where] expected X, received Y".
#pragma once

#include <stdexcept>
#include <string>

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

}  // namespace dept
