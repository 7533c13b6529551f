// Several checks, one message.
#pragma once

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {

/// Runs checks to the end and throws what they found in one message.
class Problems {
 public:
  /// Whether the check passed.
  bool attempt(const std::function<void()>& check) {
    try {
      check();
      return true;
    } catch (const Error& error) {
      if (messages_.empty()) code_ = error.code();
      if (std::find(messages_.begin(), messages_.end(), error.what()) == messages_.end()) messages_.push_back(error.what());
      return false;
    }
  }
  void raise() const {
    if (!messages_.empty()) throw Error(code_, join(messages_, "; "));
  }

 private:
  Code code_ = Code::bug;
  std::vector<std::string> messages_;
};

}  // namespace dept
