#include "dept/base/problems.h"

#include <algorithm>

#include "dept/base/text.h"

namespace dept {

bool Problems::attempt(const std::function<void()>& check) {
  try {
    check();
    return true;
  } catch (const Error& error) {
    if (messages_.empty()) code_ = error.code();
    if (std::find(messages_.begin(), messages_.end(), error.what()) == messages_.end()) messages_.emplace_back(error.what());
    return false;
  }
}

void Problems::raise() const {
  if (!messages_.empty()) throw Error(code_, join(messages_, "; "));
}

}  // namespace dept
