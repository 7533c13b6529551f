// A message of a conversation.
#pragma once

#include <string>

namespace dept {

struct ChatMessage {
  std::string role;  ///< "system", "user" or "assistant"
  std::string content;

  bool operator==(const ChatMessage&) const = default;
};

}  // namespace dept
