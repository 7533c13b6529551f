// Chat templates as they stand in a model's files, and conversations as ids.
#include <gmock/gmock.h>

#include "dept/text/chat.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* chatml_template =
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
constexpr const char* gemma_template =
    "{{ bos_token }}{% for m in messages %}{{ '<start_of_turn>' + m['role'] + '\\n' + m['content'] | trim + '<end_of_turn>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}";

const ChatTokens chat_tokens{"<s>", "</s>", "01 Dec 2026"};

std::shared_ptr<const Tokenizer> tiny_tokenizer() {
  return load_tokenizer(fs::path(DEPT_TEST_DATA) / "recipe/tiny");
}

std::string said_of(const std::string& text) {
  return error_of(Code::bad_input, [&] { parse_chat_template(text, chat_tokens, "FILE"); });
}

TEST(ChatForm, AnotherTemplateIsRefused) {
  for (const char* other : {"", "{{ messages }}", "### Human: {{ m }}", "{{ '<|user|>' + m + eos_token }}"})
    EXPECT_THAT(said_of(other),
                StartsWith("[FILE] expected a chat template of ChatML, Llama 2, Llama 3, Mistral, Gemma or Phi, received"));
}

TEST(ChatForm, TraitsThatAreNotKnownAreRefused) {
  const std::string plain = chatml_template;
  EXPECT_THAT(said_of(plain.substr(0, plain.find("{% if add"))), HasSubstr("add_generation_prompt"));
  EXPECT_THAT(said_of(plain + "{{ '</think>' }}"), HasSubstr("thoughts"));
  EXPECT_THAT(said_of("{{ bos_token + '[SYSTEM_PROMPT]' + '[INST]' + '[/INST]' }}"), HasSubstr("[SYSTEM_PROMPT]"));
  EXPECT_THAT(said_of("{{ '<<SYS>>' + '[INST]' }}"), HasSubstr("Llama 2"));
}

TEST(ChatForm, TheDateIsTodaysWhereTheTemplateAsksTheClock) {
  const std::string text =
      "{{ bos_token }}{% if strftime_now is defined %}{% set date_string = strftime_now('%d %b %Y') %}{% else %}"
      "{% set date_string = '26 Jul 2024' %}{% endif %}{{ '<|start_header_id|>system<|end_header_id|>\\n\\n' }}"
      "{{ 'Cutting Knowledge Date: December 2023\\n' }}{{ 'Today Date: ' + date_string + '\\n\\n' }}{{ '<|eot_id|>' }}"
      "{% if add_generation_prompt %}{% endif %}";
  const std::vector<ChatMessage> messages{{"user", "hi"}};
  EXPECT_THAT(render_chat(parse_chat_template(text, chat_tokens, "FILE"), messages, true, "row"),
              HasSubstr("Today Date: 01 Dec 2026\n\n<|eot_id|>"));
}

TEST(ChatForm, IsReadFromAFoldersFiles) {
  const Scratch scratch;
  const auto load = [&] { return load_chat_form(scratch.path(), *tiny_tokenizer())->name; };
  EXPECT_THAT(error_of(Code::bad_input, load), HasSubstr("neither chat_template.jinja nor tokenizer_config.json"));
  scratch.write("tokenizer_config.json", "{}");
  EXPECT_THAT(error_of(Code::bad_input, load), HasSubstr("tokenizer_config.json: chat_template] expected a chat template"));
  scratch.write("tokenizer_config.json", Json{{"chat_template", chatml_template}}.dump());
  EXPECT_EQ(load(), "ChatML");
  scratch.write(
      "tokenizer_config.json",
      Json{{"chat_template", {{{"name", "tools"}, {"template", "x"}}, {{"name", "default"}, {"template", gemma_template}}}}}
          .dump());
  EXPECT_EQ(load(), "Gemma");
  scratch.write("chat_template.jinja", chatml_template);
  EXPECT_EQ(load(), "ChatML");
}

TEST(ChatIds, PromptAndAnswerAreTheWholeText) {
  const auto tokenizer = tiny_tokenizer();
  const ChatForm form = parse_chat_template(chatml_template, chat_tokens, "FILE");
  const std::vector<ChatMessage> messages{{"user", "red or blue"}, {"assistant", "blue"}};
  const ChatExample example = chat_example(*tokenizer, form, messages, "row");
  EXPECT_EQ(example.prompt, chat_prompt(*tokenizer, form, std::span(messages).first(1), "row"));
  EXPECT_EQ(example.prompt, chat_prompt(*tokenizer, form, messages, "row"));  // the answer is left out
  Ids whole = example.prompt;
  whole.insert(whole.end(), example.answer.begin(), example.answer.end());
  const std::string text = render_chat(form, messages, false, "row");
  EXPECT_EQ(whole, tokenizer->encode(text.substr(0, text.size() - 1)));  // without the line's end, which no model writes
  EXPECT_THAT(tokenizer->decode(example.answer), StartsWith("blue"));
}

TEST(ChatIds, ConversationsNeedAnAnswerToBeExamples) {
  const ChatForm form = parse_chat_template(chatml_template, chat_tokens, "FILE");
  const std::vector<ChatMessage> asked{{"user", "red"}}, none, strange{{"tool", "red"}};
  EXPECT_THAT(error_of(Code::bad_input, [&] { chat_example(*tiny_tokenizer(), form, asked, "row"); }), HasSubstr("assistant"));
  EXPECT_THAT(error_of(Code::bad_input, [&] { chat_prompt(*tiny_tokenizer(), form, none, "row"); }),
              HasSubstr("[row] expected messages"));
  EXPECT_THAT(error_of(Code::bad_input, [&] { chat_prompt(*tiny_tokenizer(), form, strange, "row"); }), HasSubstr("message 0"));
}

TEST(ChatMessages, AreListsOfRoleAndContent) {
  const auto read = [](const char* text) { return read_messages(OrderedJson::parse(text), "row"); };
  const std::vector<ChatMessage> expected{{"user", "a"}, {"assistant", "b"}};
  EXPECT_EQ(read(R"([{"role": "user", "content": "a", "name": "x"}, {"content": "b", "role": "assistant"}])"), expected);
  for (const char* bad : {"[]", "{}", "3", "[3]", R"([{"role": "user"}])", R"([{"role": "user", "content": null}])",
                          R"([{"role": "user", "content": ["a"]}])"})
    error_of(Code::bad_input, [&] { read(bad); });
}

}  // namespace
}  // namespace dept
