#include "dept/base/problems.h"

#include <algorithm>

#include "dept/base/text.h"

namespace dept {
namespace {

// Of several problems at once; each is said once where they become part of a longer message.
struct SeveralProblems : Error {
  SeveralProblems(Code code, std::vector<std::string> all) : Error(code, join(all, "; ")), messages(std::move(all)) {}
  std::vector<std::string> messages;
};

}  // namespace

bool Problems::attempt(const std::function<void()>& check) {
  try {
    check();
    return true;
  } catch (const Error& error) {
    if (messages_.empty()) code_ = error.code();
    const auto* several = dynamic_cast<const SeveralProblems*>(&error);
    for (const std::string& message : several != nullptr ? several->messages : std::vector<std::string>{error.what()})
      if (std::find(messages_.begin(), messages_.end(), message) == messages_.end()) messages_.push_back(message);
    return false;
  }
}

void Problems::raise() const {
  if (!messages_.empty()) throw SeveralProblems(code_, messages_);
}

}  // namespace dept
