// Which form a chat template has, by the words that it writes.
#include <algorithm>
#include <array>
#include <ctime>
#include <vector>

#include "dept/base/error.h"
#include "dept/base/json.h"
#include "dept/base/text.h"
#include "dept/tensorio/gguf.h"
#include "dept/text/chat.h"

namespace dept {
namespace {

constexpr uint64_t max_template_bytes = uint64_t{16} << 20;
constexpr std::string_view forms = "a chat template of ChatML, Llama 2, Llama 3, Mistral, Gemma or Phi";

// What a template of Jinja is recognised by: its text, and the strings that stand in its expressions, in order.
class TemplateText {
 public:
  TemplateText(std::string_view text, const std::string& where) : text_(text), where_(where) { collect(); }

  bool has(std::string_view words) const { return text_.find(words) != text_.npos; }
  bool has_any(std::initializer_list<std::string_view> all) const {
    return std::any_of(all.begin(), all.end(), [&](std::string_view words) { return has(words); });
  }
  /// Whether the template says the same with either kind of quotes: 'x' and "x".
  bool has_code(std::string code) const {
    if (has(code)) return true;
    std::replace(code.begin(), code.end(), '\'', '"');
    return has(code);
  }

  /// The first string, behind `from` in the text, that holds these words.
  std::optional<std::string> string_with(std::string_view words, size_t from = 0) const {
    for (const auto& [at, string] : strings_)
      if (at >= from && string.find(words) != string.npos) return string;
    return std::nullopt;
  }
  bool has_string(std::string_view whole) const {
    return std::any_of(strings_.begin(), strings_.end(), [&](const auto& each) { return each.second == whole; });
  }
  const std::vector<std::pair<size_t, std::string>>& strings() const { return strings_; }
  size_t last(std::string_view words) const { return text_.rfind(words); }

  [[noreturn]] void refuse(std::string_view expected) const { fail(Code::bad_input, where_, expected, quote(text_)); }

 private:
  // Strings in {{ .. }} and {% .. %}; comments and the text around have none.
  void collect() {
    for (size_t at = text_.find('{'); at < text_.size(); at = text_.find('{', at)) {
      const std::string_view mark = text_.substr(at, 2);
      if (mark == "{#") {
        at = std::min(text_.find("#}", at), text_.size());
      } else if (mark == "{{" || mark == "{%") {
        at = collect_in(at + 2, mark == "{{" ? "}}" : "%}");
      } else {
        ++at;
      }
    }
  }

  size_t collect_in(size_t at, std::string_view end) {
    while (at < text_.size() && text_.substr(at, 2) != end) {
      if (text_[at] == '\'' || text_[at] == '"') {
        const size_t begin = at;
        std::string string;
        at = read_string(at, string);
        strings_.emplace_back(begin, std::move(string));
      } else {
        ++at;
      }
    }
    return at;
  }

  // The string whose quote is at `at`, and where it ends.
  size_t read_string(size_t at, std::string& out) const {
    const char quote = text_[at++];
    for (; at < text_.size() && text_[at] != quote; ++at) {
      if (text_[at] != '\\' || at + 1 == text_.size()) {
        out += text_[at];
        continue;
      }
      const char next = text_[++at];
      constexpr std::string_view names = "nrt\\'\"", meanings = "\n\r\t\\'\"";
      if (const size_t known = names.find(next); known != names.npos) {
        out += meanings[known];
      } else {
        out += '\\';
        out += next;
      }
    }
    return std::min(at + 1, text_.size());
  }

  std::string_view text_;
  const std::string& where_;
  std::vector<std::pair<size_t, std::string>> strings_;
};

ChatTurn turn(std::string open, std::string close, std::string gap) {
  return {std::move(open), "", std::move(close), std::move(gap)};
}

// Whether the template refuses users and assistants out of turn.
bool takes_turns(const TemplateText& text) {
  return text.has("raise_exception") && text.has("loop.index0 % 2");
}

// The string that asks for an answer, in its condition.
std::string asking(const TemplateText& text, std::string_view mark) {
  const size_t condition = text.last("add_generation_prompt");
  const auto found = condition == std::string_view::npos ? std::nullopt : text.string_with(mark, condition);
  if (!found) text.refuse(str("one that writes ", mark, " where add_generation_prompt asks for it"));
  return *found;
}

// A system turn that a string writes whole: what the template says for conversations without one.
std::optional<std::string> default_system(const TemplateText& text, const ChatTurn& system) {
  for (const auto& [at, string] : text.strings()) {
    const size_t begin = string.find(system.open);
    if (begin == string.npos) continue;
    const size_t content = begin + system.open.size(), end = string.find(system.close, content);
    if (end != string.npos && end > content) return string.substr(content, end - content);
  }
  return std::nullopt;
}

ChatForm chatml(const TemplateText& text, const ChatTokens& tokens) {
  ChatForm form;
  form.name = "ChatML";
  const bool lines = !text.has("<|im_sep|>");
  form.thinks = text.has("last_query_index");
  if (text.has("</think>") && !form.thinks) text.refuse("ChatML with Qwen 3's thoughts, or without any");
  if (text.has("bos_token")) form.begin = tokens.bos;
  form.trims = text.has_any({"| trim", "|trim", ".strip()"}) && !form.thinks;
  form.alternates = takes_turns(text);
  form.end_token = "<|im_end|>";
  const std::string mark = lines ? "\n" : "<|im_sep|>", gap = lines ? "\n" : "";
  form.system = turn("<|im_start|>system" + mark, form.end_token, gap);
  form.user = turn("<|im_start|>user" + mark, form.end_token, gap);
  form.assistant = turn(asking(text, "<|im_start|>assistant"), form.end_token, gap);
  if (form.assistant.open != "<|im_start|>assistant" + mark) text.refuse("an answer that begins with its content");
  form.default_system = default_system(text, form.system);
  return form;
}

ChatForm phi(const TemplateText& text, const ChatTokens& tokens) {
  ChatForm form;
  form.name = "Phi";
  if (text.has_code("{{ bos_token }}") || text.has_code("{{bos_token}}")) form.begin = tokens.bos;
  form.alternates = takes_turns(text);
  form.end_token = "<|end|>";
  form.assistant.open = asking(text, "<|assistant|>");
  const std::string line = form.assistant.open.ends_with('\n') ? "\n" : "";
  form.system = turn("<|system|>" + line, form.end_token, line);
  form.user = turn("<|user|>" + line, form.end_token, line);
  form.assistant = turn("<|assistant|>" + line, form.end_token, line);
  if (text.has("eos_token")) form.end = tokens.eos;
  form.skips_empty_system = text.has_code("'system' and message['content']");
  return form;
}

ChatForm gemma(const TemplateText& text, const ChatTokens& tokens) {
  ChatForm form;
  form.name = "Gemma";
  if (text.has("bos_token")) form.begin = tokens.bos;
  form.end_token = "<end_of_turn>";
  form.user = turn("<start_of_turn>user\n", form.end_token, "\n");
  form.assistant = turn(asking(text, "<start_of_turn>model"), form.end_token, "\n");
  form.alternates = takes_turns(text);
  form.trims = text.has_any({"| trim", "|trim"});
  form.system_place = text.has("first_user_prefix") ? SystemPlace::first_user : SystemPlace::nowhere;
  form.system_close = "\n\n";
  return form;
}

ChatForm llama2(const TemplateText& text, const ChatTokens& tokens) {
  ChatForm form;
  form.name = "Llama 2";
  if (!text.has("bos_token + ") || !text.has("content.strip()"))
    text.refuse("Llama 2's template: bos_token in front of each user");
  form.end_token = tokens.eos;
  form.user = turn(tokens.bos + "[INST] ", " [/INST]", "");
  form.assistant = {"", " ", " " + tokens.eos, ""};
  form.alternates = form.trims = form.trims_with_system = true;
  form.system_place = SystemPlace::first_user;
  form.system_open = "<<SYS>>\n";
  form.system_close = "\n<</SYS>>\n\n";
  return form;
}

ChatForm mistral(const TemplateText& text, const ChatTokens& tokens) {
  ChatForm form;
  form.name = "Mistral";
  const auto open = text.string_with("[INST]"), close = text.string_with("[/INST]");
  if (text.has_any({"[SYSTEM_PROMPT]", "strftime"}) || !open || !close || open->find("[/INST]") != open->npos)
    text.refuse("Mistral's template without [SYSTEM_PROMPT]");
  form.begin = tokens.bos;
  form.end_token = tokens.eos;
  form.user = turn(*open, *close, "");
  form.assistant = {"", text.has_code("' ' + message") ? " " : "", tokens.eos, ""};
  form.alternates = true;
  form.trims_answers = text.has_any({"| trim", "|trim"});
  if (!text.has("system_message")) {
    form.system_place = SystemPlace::nowhere;
  } else {
    form.system_place = text.has("loop.last and system_message") ? SystemPlace::last_user : SystemPlace::first_user;
    form.system_close = "\n\n";
  }
  return form;
}

// "26 Jul 2024" as Llama 3.1 writes it where nobody tells the date, or today.
std::string date_of(const TemplateText& text, const ChatTokens& tokens) {
  if (text.has("strftime_now")) return tokens.today;
  const size_t set = text.last("date_string =");
  for (const auto& [at, string] : text.strings())
    if (set != std::string_view::npos && at >= set) return string;
  text.refuse("Llama 3.1's template with a date_string");
}

ChatForm llama3(const TemplateText& text, const ChatTokens& tokens) {
  ChatForm form;
  form.name = "Llama 3";
  form.begin = tokens.bos;
  form.alternates = takes_turns(text);
  form.end_token = "<|eot_id|>";
  const auto header = [&](std::string_view role) {
    return turn(str("<|start_header_id|>", role, "<|end_header_id|>\n\n"), form.end_token, "");
  };
  form.system = header("system");
  form.user = header("user");
  form.assistant = header("assistant");
  form.trims = text.has_any({"| trim", "|trim"});
  if (!text.has("add_generation_prompt")) form.end = form.assistant.open;  // the first Llama 3 always asks
  const auto preface = text.string_with("Cutting Knowledge Date");
  if (!preface) return form;
  const auto today = text.string_with("Today Date");
  if (!today || !today->ends_with(": ")) text.refuse("Llama 3.1's template with a line Today Date");
  form.system_preface = str(*preface, *today, date_of(text, tokens), "\n\n");
  return form;
}

using Recognise = ChatForm (*)(const TemplateText&, const ChatTokens&);

Recognise form_of(const TemplateText& text) {
  if (text.has("<|im_start|>")) return chatml;
  if (text.has("<|start_header_id|>")) return llama3;
  if (text.has("<start_of_turn>")) return gemma;
  if (text.has("<<SYS>>")) return llama2;
  if (text.has("[INST]")) return mistral;
  if (text.has("<|end|>") && text.has("<|assistant|>")) return phi;
  text.refuse(forms);
}

// The template in tokenizer_config.json: a text, or several with names.
std::string template_in(const Json& config, const std::string& where) {
  const Json found = config.value("chat_template", Json());
  if (found.is_string()) return found.get<std::string>();
  if (!found.is_array()) fail(Code::bad_input, where + ": chat_template", forms, found.is_null() ? "none" : "something else");
  for (const Json& each : found)
    if (each.is_object() && each.value("name", Json()) == Json("default")) return require<std::string>(each, "template", where);
  fail(Code::bad_input, where + ": chat_template", "a template of the name default", "none");
}

struct FoundTemplate {
  std::string text, where;
};

FoundTemplate find_template(const fs::path& model) {
  if (model.extension() == ".gguf") {
    const auto file = open_gguf(model);
    const std::string where = model.string() + ": tokenizer.chat_template";
    if (!file->has("tokenizer.chat_template")) fail(Code::bad_input, where, forms, "none");
    return {file->string("tokenizer.chat_template"), where};
  }
  const fs::path folder = fs::is_directory(model) ? model : model.parent_path(), own = folder / "chat_template.jinja",
                 config = folder / "tokenizer_config.json";
  if (fs::exists(own)) return {read_file(own, max_template_bytes), own.string()};
  if (!fs::exists(config)) fail(Code::bad_input, folder.string(), forms, "neither chat_template.jinja nor tokenizer_config.json");
  const Json json = read_json(config);
  if (!json.is_object()) fail(Code::bad_input, config.string(), "an object", "something else");
  return {template_in(json, config.string()), config.string() + ": chat_template"};
}

std::string today() {
  const std::time_t now = std::time(nullptr);
  std::tm date{};
  localtime_r(&now, &date);
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%d %b %Y", &date)};
}

}  // namespace

ChatForm parse_chat_template(std::string_view text, const ChatTokens& tokens, const std::string& where) {
  const TemplateText found(text, where);
  return form_of(found)(found, tokens);
}

std::shared_ptr<const ChatForm> load_chat_form(const fs::path& model, const Tokenizer& tokenizer) {
  const auto [text, where] = find_template(model);
  const auto token = [&](std::optional<int64_t> id) { return id ? tokenizer.id_to_token(*id) : std::string(); };
  return std::make_shared<const ChatForm>(
      parse_chat_template(text, {token(tokenizer.bos_id), token(tokenizer.eos_id), today()}, where));
}

}  // namespace dept
