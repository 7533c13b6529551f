// Conversations against apply_chat_template of transformers 5.17 (tests/parity/make/chat.py).
#include <gtest/gtest.h>

#include "dept/base/error.h"
#include "dept/text/chat.h"
#include "parity/text/strings.h"

namespace dept {
namespace {

Json chat_golden() {
  return read_json(text_data() / "chat.json");
}

std::vector<ChatMessage> messages_of(const Json& conversation) {
  std::vector<ChatMessage> messages;
  for (const Json& message : conversation["messages"]) messages.push_back({message["role"], message["content"]});
  return messages;
}

TEST(Chat, TemplatesAreKnownByWhatTheyContain) {
  const Json all = chat_golden();
  for (const Json& each : all["templates"]) {
    const std::string text = each["template"];
    EXPECT_EQ(parse_chat_template(text, {all["bos"], all["eos"], "1 Jan 2026"}, "template").name, each["form"]) << each["name"];
  }
}

TEST(Chat, EqualsApplyChatTemplate) {
  const Json all = chat_golden();
  size_t compared = 0, refused = 0;
  for (const Json& each : all["templates"]) {
    const std::string text = each["template"];
    const ChatForm form = parse_chat_template(text, {all["bos"], all["eos"], "1 Jan 2026"}, "template");
    for (size_t i = 0; i < all["conversations"].size(); ++i) {
      const Json& conversation = all["conversations"][i];
      const std::vector<ChatMessage> messages = messages_of(conversation);
      if (each["texts"][i].is_null()) {
        EXPECT_THROW(render_chat(form, messages, conversation["asks"], "row"), Error) << each["name"] << " " << conversation;
        ++refused;
      } else {
        EXPECT_EQ(render_chat(form, messages, conversation["asks"], "row"), each["texts"][i])
            << each["name"] << " " << conversation;
        ++compared;
      }
    }
  }
  EXPECT_GT(compared, 1400U);
  EXPECT_GT(refused, 50U);
}

}  // namespace
}  // namespace dept
