#include "http/completion_form.h"

#include <algorithm>
#include <ctime>
#include <limits>
#include <random>

#include "dept/base/text.h"
#include "dept/text/chat.h"
#include "http/fields.h"
#include "http/message.h"

namespace dept::http {
namespace {

constexpr int64_t most_tokens = 1 << 20, most_choices = 128, most_logprobs = 20, most_beams = 64, most_top_k = INT32_MAX;
constexpr size_t most_stops = 64, most_sequences = 4096;
constexpr double most_temperature = 1e6, least_temperature = 1e-6, most_penalty = 1e6;

bool is_id(const Json& value) {
  return value.is_number_integer() && !value.is_number_float() && value.get<int64_t>() >= 0;
}

Ids read_ids(const Json& list, const Json& prompt) {
  Ids ids;
  for (const Json& each : list) {
    if (!is_id(each)) refuse("prompt", "a text, a list of texts, ids or a list of lists of ids", shown(prompt));
    ids.push_back(each.get<int64_t>());
  }
  return ids;
}

std::vector<std::variant<std::string, Ids>> read_prompts(const Json& prompt) {
  constexpr std::string_view wanted = "a text, a list of texts, ids or a list of lists of ids";
  if (prompt.is_string()) return {prompt.get<std::string>()};
  if (!prompt.is_array() || prompt.empty()) refuse("prompt", wanted, shown(prompt));
  if (prompt.front().is_number()) return {read_ids(prompt, prompt)};
  std::vector<std::variant<std::string, Ids>> prompts;
  for (const Json& each : prompt) {
    if (each.type() != prompt.front().type() || !(each.is_string() || each.is_array())) refuse("prompt", wanted, shown(prompt));
    if (each.is_string())
      prompts.emplace_back(each.get<std::string>());
    else
      prompts.emplace_back(read_ids(each, prompt));
  }
  return prompts;
}

void check_together(const serve::CompletionRequest& request) {
  if (request.max_tokens == 0 && !request.echo) refuse("max_tokens", "at least 1, or echo", "0");
  const auto sequences = request.prompts.size() * static_cast<size_t>(std::max(request.n, request.num_beams));
  if (sequences > most_sequences) refuse("prompt", str("at most ", most_sequences, " sequences in a request"), str(sequences));
}

std::string hex_id() {
  static thread_local std::mt19937_64 draw{std::random_device{}()};
  std::ostringstream out;
  out << std::hex << draw() << draw();
  return out.str();
}

// Two tokens that add the same text (pieces of characters) are told apart by their ids; the place's own token has its text.
OrderedJson top_json(const serve::TokenLogprob& token) {
  if (!token.logprob) return nullptr;
  OrderedJson top = OrderedJson::object();
  for (const serve::Alternative& each : token.top) {
    const bool other = each.id != token.id && (each.text == token.text || top.contains(each.text));
    top[other ? str("token_id:", each.id) : each.text] = each.logprob;
  }
  return top;
}

OrderedJson logprobs_json(const std::vector<serve::TokenLogprob>& tokens) {
  OrderedJson texts = OrderedJson::array(), values = texts, tops = texts, offsets = texts;
  for (const serve::TokenLogprob& token : tokens) {
    texts.push_back(token.text);
    values.push_back(token.logprob ? OrderedJson(*token.logprob) : OrderedJson());
    tops.push_back(top_json(token));
    offsets.push_back(token.text_offset);
  }
  return {{"tokens", texts}, {"token_logprobs", values}, {"top_logprobs", tops}, {"text_offset", offsets}};
}

OrderedJson bytes_json(const std::string& text) {
  OrderedJson bytes = OrderedJson::array();
  for (const char byte : text) bytes.push_back(static_cast<unsigned char>(byte));
  return bytes;
}

OrderedJson chat_token_json(const serve::Alternative& token) {
  return {{"token", token.text}, {"logprob", token.logprob}, {"bytes", bytes_json(token.text)}};
}

// As many alternatives as were asked for, without the token itself behind them.
OrderedJson chat_logprobs_json(const std::vector<serve::TokenLogprob>& tokens, size_t count) {
  OrderedJson content = OrderedJson::array();
  for (const serve::TokenLogprob& token : tokens) {
    OrderedJson each = chat_token_json(serve::Alternative{token.id, token.text, token.logprob.value_or(0)});
    each["top_logprobs"] = OrderedJson::array();
    for (size_t i = 0; i < std::min(count, token.top.size()); ++i) each["top_logprobs"].push_back(chat_token_json(token.top[i]));
    content.push_back(std::move(each));
  }
  return {{"content", std::move(content)}};
}

template <class Part>
OrderedJson chat_choice_json(const Part& part, const char* field, const OrderedJson& said,
                             const std::optional<int64_t>& logprobs) {
  OrderedJson choice = {{"index", part.index}};
  choice[field] = said;
  choice["logprobs"] = logprobs ? chat_logprobs_json(part.logprobs, static_cast<size_t>(*logprobs)) : OrderedJson();
  choice["finish_reason"] = part.finish_reason.empty() ? OrderedJson() : OrderedJson(part.finish_reason);
  return choice;
}

template <class Part>
OrderedJson choice_json(const Part& part, bool logprobs) {
  return {{"index", part.index},
          {"text", part.text},
          {"logprobs", logprobs ? logprobs_json(part.logprobs) : OrderedJson()},
          {"finish_reason", part.finish_reason.empty() ? OrderedJson() : OrderedJson(part.finish_reason)}};
}

std::vector<ChatMessage> read_conversation(const Json* messages) {
  try {
    return read_messages(messages == nullptr ? OrderedJson() : OrderedJson(*messages), "messages");
  } catch (const Error& error) {
    throw ApiError(400, error.what(), "messages");
  }
}

// What both routes have.
void read_shared(Fields& fields, CompletionForm& form, std::string_view route) {
  serve::CompletionRequest& request = form.request;
  request.temperature = fields.number("temperature", request.temperature, 0, most_temperature);
  if (request.temperature < least_temperature) request.temperature = 0;
  request.top_p = fields.number("top_p", request.top_p, 0, 1);
  request.top_k = fields.integer("top_k", request.top_k, 0, most_top_k);
  if (fields.find("repetition_penalty") != nullptr)
    request.repetition_penalty = fields.number("repetition_penalty", 1, 1e-6, most_penalty);
  request.num_beams = fields.integer("num_beams", request.num_beams, 1, most_beams);
  request.n = fields.integer("n", request.n, 1, most_choices);
  request.stop = fields.texts("stop", most_stops);
  if (const auto seed = fields.integer("seed", INT64_MIN, INT64_MAX)) request.seed = static_cast<uint64_t>(*seed);
  form.stream = fields.flag("stream", false);
  if (const Json* options = fields.find("stream_options")) {
    Fields within(*options, "stream_options");
    form.include_usage = within.flag("include_usage", false);
    within.log_unknown(route);
  }
}

}  // namespace

CompletionForm read_completion(std::string_view body) {
  constexpr std::string_view route = "POST /v1/completions";
  Fields fields(body);
  CompletionForm form;
  serve::CompletionRequest& request = form.request;
  const Json* prompt = fields.find("prompt");
  request.model = fields.text("model");
  request.prompts = read_prompts(prompt == nullptr ? Json() : *prompt);
  request.max_tokens = fields.integer("max_tokens", request.max_tokens, 0, most_tokens);
  request.echo = fields.flag("echo", false);
  request.logprobs = fields.integer("logprobs", 0, most_logprobs);
  read_shared(fields, form, route);
  fields.log_unknown(route);
  check_together(request);
  return form;
}

CompletionForm read_chat(std::string_view body) {
  constexpr std::string_view route = "POST /v1/chat/completions";
  Fields fields(body);
  CompletionForm form;
  serve::CompletionRequest& request = form.request;
  request.model = fields.text("model");
  request.messages = read_conversation(fields.find("messages"));
  request.max_tokens = fields.integer("max_tokens", request.max_tokens, 1, most_tokens);
  request.max_tokens = fields.integer("max_completion_tokens", request.max_tokens, 1, most_tokens);
  const bool logprobs = fields.flag("logprobs", false);
  const std::optional<int64_t> top = fields.integer("top_logprobs", 0, most_logprobs);
  if (top && !logprobs) refuse("top_logprobs", "none without logprobs", str(*top));
  if (logprobs) request.logprobs = top.value_or(0);
  read_shared(fields, form, route);
  fields.log_unknown(route);
  return form;
}

AnswerWriter::AnswerWriter(Names names, const CompletionForm& form)
    : names_(std::move(names)),
      id_(names_.id + hex_id()),
      model_(form.request.model),
      created_(std::time(nullptr)),
      logprobs_(form.request.logprobs),
      include_usage_(form.include_usage) {}

OrderedJson AnswerWriter::frame(const std::string& object, OrderedJson choices) const {
  return {{"id", id_}, {"object", object}, {"created", created_}, {"model", model_}, {"choices", std::move(choices)}};
}

std::string AnswerWriter::whole(const serve::Completion& completion) const {
  OrderedJson choices = OrderedJson::array();
  for (const serve::Choice& each : completion.choices) choices.push_back(choice(each));
  OrderedJson body = frame(names_.whole, std::move(choices));
  body["usage"] = usage_json(completion.usage);
  return json_text(body);
}

std::string AnswerWriter::chunk_of(const OrderedJson& choice) const {
  OrderedJson body = frame(names_.chunk, OrderedJson::array({choice}));
  if (include_usage_) body["usage"] = nullptr;
  return event(json_text(body));
}

std::string AnswerWriter::last_chunk(const serve::Usage& usage) const {
  if (!include_usage_) return "";
  OrderedJson body = frame(names_.chunk, OrderedJson::array());
  body["usage"] = usage_json(usage);
  return event(json_text(body));
}

CompletionWriter::CompletionWriter(const CompletionForm& form)
    : AnswerWriter({"cmpl-", "text_completion", "text_completion"}, form) {}

OrderedJson CompletionWriter::choice(const serve::Choice& choice) const {
  return choice_json(choice, logprobs().has_value());
}

std::string CompletionWriter::chunk(const serve::Delta& delta) const {
  return chunk_of(choice_json(delta, logprobs().has_value()));
}

ChatCompletionWriter::ChatCompletionWriter(const CompletionForm& form)
    : AnswerWriter({"chatcmpl-", "chat.completion", "chat.completion.chunk"}, form) {}

OrderedJson ChatCompletionWriter::choice(const serve::Choice& choice) const {
  return chat_choice_json(choice, "message", {{"role", "assistant"}, {"content", choice.text}}, logprobs());
}

std::string ChatCompletionWriter::chunk(const serve::Delta& delta) const {
  std::string chunks;
  serve::Delta role;
  role.index = delta.index;
  if (delta.first) chunks = chunk_of(chat_choice_json(role, "delta", {{"role", "assistant"}, {"content", ""}}, std::nullopt));
  OrderedJson said = OrderedJson::object();
  if (!delta.text.empty()) said["content"] = delta.text;
  return chunks + chunk_of(chat_choice_json(delta, "delta", said, logprobs()));
}

OrderedJson usage_json(const serve::Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
          {"prompt_tokens_details", {{"soft_prompt", usage.soft_prompt}}}};
}

std::string json_text(const OrderedJson& value) {
  return value.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

std::string event(std::string_view data) {
  return str("data: ", data, "\n\n");
}

}  // namespace dept::http
