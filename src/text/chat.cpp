#include "dept/text/chat.h"

#include <algorithm>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/text/unicode.h"

namespace dept {
namespace {

std::string without(std::string_view text, std::string_view ends, bool front, bool back) {
  while (front && !text.empty() && ends.find(text.front()) != ends.npos) text.remove_prefix(1);
  while (back && !text.empty() && ends.find(text.back()) != ends.npos) text.remove_suffix(1);
  return std::string(text);
}

// An answer of Qwen 3: what is between <think> and </think>, and what follows.
struct Thoughts {
  std::string thought, said;
};

Thoughts thoughts_of(const std::string& content) {
  constexpr std::string_view begin = "<think>", end = "</think>";
  const size_t first = content.find(end), last = content.rfind(end);
  if (first == content.npos) return {"", content};
  std::string thought = without(content.substr(0, first), "\n", false, true);
  if (const size_t mark = thought.rfind(begin); mark != thought.npos) thought.erase(0, mark + begin.size());
  return {without(thought, "\n", true, false), without(content.substr(last + end.size()), "\n", true, false)};
}

// A conversation while its text grows.
class ChatWriter {
 public:
  ChatWriter(const ChatForm& form, std::span<const ChatMessage> messages, const std::string& where)
      : form_(form), messages_(messages), where_(where) {
    last_user_ = messages_.size();
    for (size_t i = 0; i < messages_.size(); ++i)
      if (messages_[i].role == "user" && !is_tool_answer(messages_[i].content)) last_user_ = i;
  }

  std::string write(bool asks) {
    out_ = form_.begin;
    size_t first = take_system();
    if (form_.alternates) check_turns(first);
    for (size_t i = first; i < messages_.size(); ++i) add(i, i == first);
    return out_ + (asks ? form_.assistant.open : form_.end);
  }

  /// The last answer that was written, with the mark that ends it.
  const std::string& answer() const { return answer_; }

 private:
  static bool is_tool_answer(const std::string& content) {
    return content.starts_with("<tool_response>") && content.ends_with("</tool_response>");
  }

  std::string trimmed(const std::string& content, bool trims) const {
    return trims ? std::string(unicode::strip(content)) : content;
  }

  // What comes in front of the first turn; returns that turn.
  size_t take_system() {
    const bool told = !messages_.empty() && messages_.front().role == "system";
    if (!form_.system_preface.empty()) {
      const std::string content = told ? trimmed(messages_.front().content, form_.trims) : "";
      out_ += form_.system.open + form_.system_preface + content + form_.system.close + form_.system.gap;
      return told ? 1 : 0;
    }
    if (!told && form_.default_system) out_ += form_.system.open + *form_.default_system + form_.system.close + form_.system.gap;
    if (!told || form_.system_place == SystemPlace::own_turn) return 0;
    if (form_.system_place == SystemPlace::nowhere)
      fail(Code::bad_input, where_, str("messages of users and assistants alone, as the chat template of ", form_.name, " has"),
           "a system message");
    system_ = messages_.front().content;
    return 1;
  }

  void check_turns(size_t first) const {
    if (first == 0 && messages_.front().role == "system") ++first;
    for (size_t i = first; i < messages_.size(); ++i) {
      const std::string_view wanted = (i - first) % 2 == 0 ? "user" : "assistant";
      if (messages_[i].role != wanted)
        fail(Code::bad_input, str(where_, ": message ", i),
             str("one of the role ", wanted, ", as users and assistants take turns in the chat template of ", form_.name),
             quote(messages_[i].role));
    }
  }

  void add(size_t i, bool first) {
    const ChatMessage& message = messages_[i];
    if (message.role == "assistant") return add_answer(i);
    if (message.role == "user") return add_turn(form_.user, user_content(message.content, first, i + 1 == messages_.size()));
    if (message.role != "system")
      fail(Code::bad_input, str(where_, ": message ", i), "one of the role system, user or assistant", quote(message.role));
    if (form_.skips_empty_system && message.content.empty()) return;
    add_turn(form_.system, trimmed(message.content, form_.trims));
  }

  std::string user_content(const std::string& content, bool first, bool last) const {
    const bool here = system_ && (form_.system_place == SystemPlace::last_user ? last : first);
    const std::string system = here ? form_.system_open + *system_ + form_.system_close : "";
    return form_.trims_with_system ? trimmed(system + content, form_.trims) : system + trimmed(content, form_.trims);
  }

  void add_answer(size_t i) {
    std::string content = trimmed(messages_[i].content, form_.trims || form_.trims_answers);
    if (form_.thinks) {
      const Thoughts said = thoughts_of(content);
      const bool shown = last_user_ < i && (i + 1 == messages_.size() || !said.thought.empty());
      content = !shown ? said.said
                       : str("<think>\n", without(said.thought, "\n", true, true), "\n</think>\n\n",
                             without(said.said, "\n", true, false));
    }
    answer_ = form_.assistant.lead + content + form_.assistant.close;
    out_ += form_.assistant.open + answer_ + form_.assistant.gap;
  }

  void add_turn(const ChatTurn& turn, const std::string& content) {
    out_ += turn.open + turn.lead + content + turn.close + turn.gap;
  }

  const ChatForm& form_;
  std::span<const ChatMessage> messages_;
  const std::string& where_;
  std::string out_, answer_;
  std::optional<std::string> system_;
  size_t last_user_;
};

void require_messages(std::span<const ChatMessage> messages, const std::string& where) {
  if (messages.empty()) fail(Code::bad_input, where, "messages", "none");
}

}  // namespace

std::vector<ChatMessage> read_messages(const OrderedJson& list, const std::string& where) {
  if (!list.is_array() || list.empty()) fail(Code::bad_input, where, "a list of messages", quote(list.dump()));
  std::vector<ChatMessage> messages;
  for (const OrderedJson& each : list) {
    const auto text = [&](const char* key) {
      const bool there = each.is_object() && each.contains(key) && each[key].is_string();
      if (!there)
        fail(Code::bad_input, str(where, ": message ", messages.size()), "the texts role and content", quote(each.dump()));
      return each[key].get<std::string>();
    };
    ChatMessage message{text("role"), text("content")};
    messages.push_back(std::move(message));
  }
  return messages;
}

std::string render_chat(const ChatForm& form, std::span<const ChatMessage> messages, bool asks, const std::string& where) {
  require_messages(messages, where);
  return ChatWriter(form, messages, where).write(asks);
}

Ids chat_prompt(const Tokenizer& tokenizer, const ChatForm& form, std::span<const ChatMessage> messages,
                const std::string& where) {
  require_messages(messages, where);
  if (messages.back().role == "assistant") messages = messages.first(messages.size() - 1);
  return tokenizer.encode(render_chat(form, messages, true, where), {.add_special_tokens = false});
}

ChatExample chat_example(const Tokenizer& tokenizer, const ChatForm& form, std::span<const ChatMessage> messages,
                         const std::string& where) {
  require_messages(messages, where);
  if (messages.back().role != "assistant")
    fail(Code::bad_input, where, "a last message of the role assistant", quote(messages.back().role));
  const std::string prompt = render_chat(form, messages.first(messages.size() - 1), true, where);
  ChatWriter writer(form, messages, where);
  writer.write(false);
  const EncodeOptions plain{.add_special_tokens = false};
  const Ids before = tokenizer.encode(prompt, plain);
  Ids whole = tokenizer.encode(prompt + writer.answer(), plain);
  const auto first = std::mismatch(whole.begin(), whole.end(), before.begin(), before.end()).first;
  return {Ids(whole.begin(), first), Ids(first, whole.end())};
}

}  // namespace dept
