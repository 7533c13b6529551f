// POST /v1/completions and /v1/chat/completions in OpenAI's form: from a body to the engine's request, and from its answers to
// bodies.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "dept/base/json.h"
#include "dept/serve/engine.h"

namespace dept::http {

struct CompletionForm {
  serve::CompletionRequest request;
  bool stream = false;
  bool include_usage = false;
};

/// Throws ApiError 400.
CompletionForm read_completion(std::string_view body);
CompletionForm read_chat(std::string_view body);

/// The bodies of one answer: they share id, time and model.
class AnswerWriter {
 public:
  virtual ~AnswerWriter() = default;

  std::string whole(const serve::Completion& completion) const;
  /// What a delta is in a stream, "data: .." with its empty line.
  virtual std::string chunk(const serve::Delta& delta) const = 0;
  std::string last_chunk(const serve::Usage& usage) const;

 protected:
  struct Names {
    std::string id, whole, chunk;  ///< what the id begins with; the values of "object"
  };
  AnswerWriter(Names names, const CompletionForm& form);

  virtual OrderedJson choice(const serve::Choice& choice) const = 0;
  std::string chunk_of(const OrderedJson& choice) const;
  /// Absent: no log-probabilities are asked for.
  const std::optional<int64_t>& logprobs() const { return logprobs_; }

 private:
  OrderedJson frame(const std::string& object, OrderedJson choices) const;

  Names names_;
  std::string id_, model_;
  int64_t created_;
  std::optional<int64_t> logprobs_;
  bool include_usage_;
};

class CompletionWriter final : public AnswerWriter {
 public:
  explicit CompletionWriter(const CompletionForm& form);
  std::string chunk(const serve::Delta& delta) const override;

 private:
  OrderedJson choice(const serve::Choice& choice) const override;
};

/// A choice's first chunk says the role.
class ChatCompletionWriter final : public AnswerWriter {
 public:
  explicit ChatCompletionWriter(const CompletionForm& form);
  std::string chunk(const serve::Delta& delta) const override;

 private:
  OrderedJson choice(const serve::Choice& choice) const override;
};

/// {"prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details"}
OrderedJson usage_json(const serve::Usage& usage);
/// JSON's text; bytes that are no UTF-8 become U+FFFD.
std::string json_text(const OrderedJson& value);
/// "data: .." with its empty line.
std::string event(std::string_view data);

}  // namespace dept::http
