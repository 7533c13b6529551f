// Conversations as a model's chat template writes them: ChatML, Llama 2, Llama 3, Mistral, Gemma and Phi. Templates are not run;
// the form is recognised by what the template contains. The text equals that of transformers' apply_chat_template (docs/chat.md).
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dept/base/file.h"
#include "dept/base/json.h"
#include "dept/chat.h"
#include "dept/text/tokenizer.h"

namespace dept {

/// Where a system message goes.
enum class SystemPlace {
  own_turn,    ///< a turn like the others, wherever it stands
  first_user,  ///< in front of the first user's content
  last_user,   ///< in front of the last message's content, where that one is a user's
  nowhere,     ///< the template refuses it
};

/// What stands around a message's content. The model writes what is between `open` and `gap`.
struct ChatTurn {
  std::string open, lead, close, gap;
};

/// A chat template as data.
struct ChatForm {
  std::string name;                  ///< "ChatML", ..
  std::string begin;                 ///< in front of the conversation
  std::string end;                   ///< behind it, where no answer is asked for
  std::string end_token;             ///< ends an answer
  ChatTurn system, user, assistant;  ///< the assistant's `open` asks for an answer
  SystemPlace system_place = SystemPlace::own_turn;
  std::string system_open, system_close;      ///< around a system message within a user's turn
  std::optional<std::string> default_system;  ///< a system turn for conversations that begin with none
  std::string system_preface;                 ///< in front of the system message's content (Llama 3.1)
  bool alternates = false;                    ///< users and assistants have to take turns, a user first
  bool trims = false;                         ///< contents lose the white space at both ends
  bool trims_answers = false;                 ///< those of assistants do
  bool trims_with_system = false;             ///< a user's content is trimmed with the system message in front of it
  bool skips_empty_system = false;            ///< a system message without content is left out
  bool thinks = false;                        ///< Qwen 3: earlier answers lose their thoughts, the last one has a place for them
};

/// The tokens that a template may name, and what it may ask the clock for.
struct ChatTokens {
  std::string bos, eos;
  std::string today;  ///< as "26 Jul 2024", for templates of Llama 3.2
};

/// The form of a template. Throws bad_input naming `where` for a template of another form.
ChatForm parse_chat_template(std::string_view text, const ChatTokens& tokens, const std::string& where);

/// The form that a model's files say, chat_template.jinja, else tokenizer_config.json's or a GGUF file's chat_template.
/// Throws bad_input naming the file where there is none or one of another form.
std::shared_ptr<const ChatForm> load_chat_form(const fs::path& model, const Tokenizer& tokenizer);

/// [{"role": .., "content": ..}, ..] with texts. Throws bad_input naming `where` for anything else.
std::vector<ChatMessage> read_messages(const OrderedJson& list, const std::string& where);

/// The text of a conversation; with `asks` the assistant's opening behind it. Throws bad_input naming `where` for roles, or an
/// order of them, that the form does not have.
std::string render_chat(const ChatForm& form, std::span<const ChatMessage> messages, bool asks, const std::string& where);

/// The ids of a conversation to be answered. A last message of an assistant is left out, as it is the answer. Throws bad_input
/// as render_chat does, and without any message.
Ids chat_prompt(const Tokenizer& tokenizer, const ChatForm& form, std::span<const ChatMessage> messages,
                const std::string& where);

/// A conversation and its last message, an assistant's, with the mark that ends it. Together they are the ids of the whole text;
/// a token that has characters of both is the answer's.
struct ChatExample {
  Ids prompt, answer;
};
ChatExample chat_example(const Tokenizer& tokenizer, const ChatForm& form, std::span<const ChatMessage> messages,
                         const std::string& where);

}  // namespace dept
