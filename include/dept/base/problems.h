// Several checks, one message.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "dept/base/error.h"

namespace dept {

/// Runs checks to the end and throws what they found as one error, with the first one's code.
class Problems {
 public:
  /// Whether the check passed. Only Error is caught.
  bool attempt(const std::function<void()>& check);
  bool empty() const { return messages_.empty(); }
  void raise() const;

 private:
  Code code_ = Code::bug;
  std::vector<std::string> messages_;
};

}  // namespace dept
