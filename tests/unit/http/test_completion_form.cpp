// A completion's body: types, defaults, limits; and the bodies of its answers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "http/completion_form.h"
#include "http/message.h"

namespace dept::http {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// The field that is named in the refusal; "-": none is; "": it is taken.
std::string wrong_field(const std::string& body) {
  try {
    read_completion(body);
    return "";
  } catch (const ApiError& error) {
    EXPECT_EQ(error.status(), 400);
    const Json param = Json::parse(error.json()).at("error").at("param");
    return param.is_null() ? "-" : param.get<std::string>();
  }
}

std::string with(const std::string& field, const std::string& value) {
  Json body = {{"model", "m"}, {"prompt", "p"}};
  body[field] = Json::parse(value);
  return body.dump();
}

TEST(CompletionForm, HasOpenAisDefaults) {
  const CompletionForm form = read_completion(R"({"model": "m", "prompt": "p"})");
  const serve::CompletionRequest& request = form.request;
  EXPECT_EQ(request.model, "m");
  EXPECT_THAT(request.prompts, ElementsAre(std::variant<std::string, Ids>("p")));
  EXPECT_EQ(request.max_tokens, 16);
  EXPECT_EQ(request.temperature, 1);
  EXPECT_EQ(request.top_p, 1);
  EXPECT_EQ(request.top_k, 0);
  EXPECT_EQ(request.n, 1);
  EXPECT_EQ(request.num_beams, 1);
  EXPECT_FALSE(request.seed || request.logprobs || request.repetition_penalty || request.echo || form.stream ||
               form.include_usage);
}

TEST(CompletionForm, ReadsEveryField) {
  const CompletionForm form = read_completion(
      R"({"model": "m", "prompt": [[1, 2], [3]], "max_tokens": 0, "temperature": 0.5, "top_p": 0.25, "top_k": 7, "n": 2, "num_beams": 3,
          "stop": ["a", "b"], "seed": -1, "echo": true, "logprobs": 0, "repetition_penalty": 1.5, "stream": true,
          "stream_options": {"include_usage": true, "other": 1}, "user": null})");
  const serve::CompletionRequest& request = form.request;
  EXPECT_THAT(request.prompts, ElementsAre(std::variant<std::string, Ids>(Ids{1, 2}), std::variant<std::string, Ids>(Ids{3})));
  EXPECT_EQ(request.max_tokens, 0);
  EXPECT_EQ(request.temperature, 0.5);
  EXPECT_EQ(request.top_p, 0.25);
  EXPECT_EQ(request.top_k, 7);
  EXPECT_EQ(request.n, 2);
  EXPECT_EQ(request.num_beams, 3);
  EXPECT_THAT(request.stop, ElementsAre("a", "b"));
  EXPECT_EQ(request.seed, UINT64_MAX);
  EXPECT_EQ(request.logprobs, 0);
  EXPECT_EQ(request.repetition_penalty, 1.5);
  EXPECT_TRUE(request.echo && form.stream && form.include_usage);
}

TEST(CompletionForm, TakesNullForWhatIsNotGiven) {
  for (const char* field :
       {"max_tokens", "temperature", "top_p", "n", "stop", "seed", "echo", "logprobs", "stream", "stream_options"})
    EXPECT_EQ(wrong_field(with(field, "null")), "") << field;
}

TEST(CompletionForm, RefusesWrongTypesByName) {
  for (const auto& [field, values] : std::initializer_list<std::pair<const char*, std::vector<const char*>>>{
           {"model", {"1", "null", "\"\"", "[]"}},
           {"prompt",
            {"null", "1", "true", "{}", "[]", "[\"a\", 1]", "[1, \"a\"]", "[[1], \"a\"]", "[[1], 2]", "[1.5]", "[-1]", "[true]",
             "[null]"}},
           {"max_tokens", {"\"4\"", "4.0", "-1", "true", "0", "1e9", "9223372036854775808", "99999999999999999999"}},
           {"temperature", {"\"1\"", "-0.1", "true"}},
           {"top_p", {"1.1", "-1", "[]"}},
           {"top_k", {"-1", "0.5"}},
           {"n", {"0", "129", "\"2\""}},
           {"num_beams", {"0", "65"}},
           {"logprobs", {"-1", "21", "true"}},
           {"stop", {"1", "\"\"", "[\"a\", 2]", "[\"\"]", "{}"}},
           {"seed", {"1.5", "\"1\"", "18446744073709551615"}},
           {"echo", {"1", "\"true\""}},
           {"stream", {"0"}},
           {"stream_options", {"1", "[]"}},
           {"repetition_penalty", {"0", "-1"}}})
    for (const char* value : values) EXPECT_EQ(wrong_field(with(field, value)), field) << field << " " << value;
  EXPECT_EQ(wrong_field(with("stream_options", R"({"include_usage": 1})")), "stream_options.include_usage");
  EXPECT_EQ(wrong_field(R"({"prompt": "p"})"), "model");
  EXPECT_EQ(wrong_field(R"({"model": "m"})"), "prompt");
}

TEST(CompletionForm, RefusesWhatIsNoJsonObject) {
  const std::string deep = std::string(100000, '[') + std::string(100000, ']');
  for (const std::string& body :
       {std::string(), std::string("[]"), std::string("{"), std::string(R"({"model": NaN})"), std::string(R"({"x": 1e999})"),
        std::string("{\"x\": \"\xff\"}"), std::string(R"({} {})"), R"({"x": )" + deep + "}", std::string(R"({"a": 1, "a": 2})")})
    EXPECT_EQ(wrong_field(body), "-") << body.substr(0, 40);
}

TEST(CompletionForm, BoundsTheSequencesOfARequest) {
  Json body = {{"model", "m"}, {"prompt", std::vector<std::string>(64, "p")}, {"n", 64}};
  EXPECT_EQ(wrong_field(body.dump()), "");
  body["n"] = 65;
  EXPECT_EQ(wrong_field(body.dump()), "prompt");
}

CompletionForm asked(std::optional<int64_t> logprobs, bool include_usage) {
  CompletionForm form;
  form.request.model = "m";
  form.request.logprobs = logprobs;
  form.include_usage = include_usage;
  return form;
}

TEST(CompletionWriter, WritesAWholeAnswer) {
  serve::Completion completion;
  serve::Choice choice;
  choice.text = "ab\xff";
  choice.finish_reason = "stop";
  choice.logprobs = {{1, "a", 0, std::nullopt, {}}, {2, "b", 1, -0.1, {{2, "b", -0.1}, {3, "b", -2.5}, {4, "c", -3}}}};
  completion.choices = {choice};
  completion.usage = {5, 3, 2};
  const Json body = Json::parse(CompletionWriter(asked(2, false)).whole(completion));
  EXPECT_EQ(body.at("object"), "text_completion");
  EXPECT_EQ(body.at("model"), "m");
  EXPECT_EQ(
      body.at("usage"),
      Json::parse(
          R"({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7, "prompt_tokens_details": {"soft_prompt": 3}})"));
  const Json& told = body.at("choices").at(0);
  EXPECT_EQ(told.at("text"), "ab\xEF\xBF\xBD");
  EXPECT_EQ(told.at("finish_reason"), "stop");
  EXPECT_EQ(told.at("logprobs"), Json::parse(R"({"tokens": ["a", "b"], "token_logprobs": [null, -0.1],
                                                "top_logprobs": [null, {"b": -0.1, "token_id:3": -2.5, "c": -3.0}], "text_offset": [0, 1]})"));
}

TEST(CompletionWriter, StreamsUsageOnlyWhereItIsAskedFor) {
  const CompletionWriter plain(asked({}, false)), counting(asked({}, true));
  const std::string chunk = plain.chunk({1, "a", {}, ""});
  EXPECT_EQ(chunk.substr(0, 6), "data: ");
  EXPECT_EQ(chunk.substr(chunk.size() - 2), "\n\n");
  const Json body = Json::parse(chunk.substr(6));
  EXPECT_FALSE(body.contains("usage"));
  EXPECT_EQ(body.at("choices").at(0), Json::parse(R"({"index": 1, "text": "a", "logprobs": null, "finish_reason": null})"));
  EXPECT_EQ(plain.last_chunk({}), "");
  const Json last = Json::parse(counting.last_chunk({5, 3, 2}).substr(6));
  EXPECT_TRUE(last.at("choices").empty());
  EXPECT_EQ(last.at("usage").at("total_tokens"), 7);
  EXPECT_TRUE(Json::parse(counting.chunk({}).substr(6)).at("usage").is_null());
}

std::string wrong_chat_field(const std::string& field, const std::string& value) {
  Json body = {{"model", "m"}, {"messages", {{{"role", "user"}, {"content", "Hello"}}}}};
  body[field] = Json::parse(value);
  try {
    read_chat(body.dump());
    return "";
  } catch (const ApiError& error) {
    EXPECT_EQ(error.status(), 400);
    return Json::parse(error.json()).at("error").at("param").get<std::string>();
  }
}

TEST(ChatForm, ReadsMessagesAndWhatCompletionsHave) {
  const CompletionForm form =
      read_chat(R"({"model": "m", "messages": [{"role": "system", "content": ""}, {"role": "user", "content": "Hi"}],
      "max_tokens": 3, "max_completion_tokens": 5, "logprobs": true, "top_logprobs": 2, "n": 2, "stop": "a", "seed": 4, "stream": true})");
  const serve::CompletionRequest& request = form.request;
  EXPECT_THAT(request.messages, ElementsAre(ChatMessage{"system", ""}, ChatMessage{"user", "Hi"}));
  EXPECT_TRUE(request.prompts.empty() && !request.echo && form.stream);
  EXPECT_EQ(request.max_tokens, 5);
  EXPECT_EQ(request.logprobs, 2);
  EXPECT_EQ(request.n, 2);
  EXPECT_EQ(request.seed, 4);
}

TEST(ChatForm, RefusesWrongTypesByName) {
  for (const auto& [field, values] : std::initializer_list<std::pair<const char*, std::vector<const char*>>>{
           {"messages", {"null", "[]", "\"Hi\"", "[1]", "[{\"role\": \"user\"}]", "[{\"role\": \"user\", \"content\": 1}]"}},
           {"max_tokens", {"0", "\"1\""}},
           {"max_completion_tokens", {"0", "1.5"}},
           {"logprobs", {"1", "\"true\""}},
           {"top_logprobs", {"1", "-1", "21"}},
           {"stream", {"1"}}})
    for (const char* value : values) EXPECT_EQ(wrong_chat_field(field, value), field) << field << " " << value;
  EXPECT_EQ(wrong_chat_field("logprobs", "false"), "");
}

TEST(ChatCompletionWriter, WritesAWholeAnswer) {
  serve::Completion completion;
  serve::Choice choice;
  choice.text = "Hi";
  choice.finish_reason = "stop";
  choice.logprobs = {{2, "Hi", 0, -0.5, {{3, "b", -0.25}, {2, "Hi", -0.5}}}};
  completion.choices = {choice};
  const Json body = Json::parse(ChatCompletionWriter(asked(1, false)).whole(completion));
  EXPECT_EQ(body.at("object"), "chat.completion");
  EXPECT_EQ(body.at("id").get<std::string>().substr(0, 9), "chatcmpl-");
  EXPECT_EQ(body.at("choices").at(0), Json::parse(R"({"index": 0, "message": {"role": "assistant", "content": "Hi"},
      "logprobs": {"content": [{"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": [
        {"token": "b", "logprob": -0.25, "bytes": [98]}]}]}, "finish_reason": "stop"})"));
  EXPECT_TRUE(body.contains("usage"));
}

TEST(ChatCompletionWriter, SaysTheRoleInAChoicesFirstChunk) {
  const ChatCompletionWriter writer(asked({}, false));
  const std::string first = writer.chunk({1, "Hi", {}, "", true}), last = writer.chunk({1, "", {}, "length"});
  const size_t middle = first.find("\n\n") + 2;
  const auto choice = [](const std::string& chunk) {
    const Json body = Json::parse(chunk.substr(6));
    EXPECT_EQ(body.at("object"), "chat.completion.chunk");
    return body.at("choices").at(0);
  };
  EXPECT_EQ(
      choice(first.substr(0, middle)),
      Json::parse(R"({"index": 1, "delta": {"role": "assistant", "content": ""}, "logprobs": null, "finish_reason": null})"));
  EXPECT_EQ(choice(first.substr(middle)),
            Json::parse(R"({"index": 1, "delta": {"content": "Hi"}, "logprobs": null, "finish_reason": null})"));
  EXPECT_EQ(choice(last), Json::parse(R"({"index": 1, "delta": {}, "logprobs": null, "finish_reason": "length"})"));
}

}  // namespace
}  // namespace dept::http
