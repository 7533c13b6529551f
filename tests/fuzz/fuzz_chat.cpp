#include <array>
#include <string_view>

#include "dept/base/error.h"
#include "dept/text/chat.h"

namespace {

// Any bytes as a template: of a form, which writes a conversation or refuses it, or refused.
void use_template(std::string_view bytes) {
  const std::array<dept::ChatMessage, 4> messages{
      {{"system", " be brief\n"}, {"user", "hi "}, {"assistant", "<think>a</think>b"}, {"user", ""}}};
  const dept::ChatForm form = dept::parse_chat_template(bytes, {"<s>", "</s>", "26 Jul 2024"}, "template");
  for (size_t count = 1; count <= messages.size(); ++count)
    dept::render_chat(form, std::span(messages).first(count), count % 2 == 0, "row");
}

// Any bytes as messages.
void use_messages(std::string_view bytes) {
  const auto messages = dept::read_messages(dept::OrderedJson(dept::parse_json(bytes, "messages")), "messages");
  dept::ChatForm form;
  form.thinks = form.trims = true;
  dept::render_chat(form, messages, true, "messages");
}

}  // namespace

// A chat template or messages of any bytes are used or refused with an Error.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (const auto use : {use_template, use_messages}) {
    try {
      use(bytes);
    } catch (const dept::Error&) {
    }
  }
  return 0;
}
