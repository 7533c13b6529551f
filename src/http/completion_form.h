// POST /v1/completions in OpenAI's form: from a body to the engine's request, and from its answers to bodies.
#pragma once

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

/// The bodies of one answer: they share id, time and model.
class CompletionWriter {
 public:
  CompletionWriter(std::string model, bool logprobs, bool include_usage);

  std::string whole(const serve::Completion& completion) const;
  /// A chunk of a stream, "data: .." with its empty line.
  std::string chunk(const serve::Delta& delta) const;
  std::string last_chunk(const serve::Usage& usage) const;

 private:
  OrderedJson frame() const;

  std::string id_, model_;
  int64_t created_;
  bool logprobs_, include_usage_;
};

/// {"prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details"}
OrderedJson usage_json(const serve::Usage& usage);
/// JSON's text; bytes that are no UTF-8 become U+FFFD.
std::string json_text(const OrderedJson& value);
/// "data: .." with its empty line.
std::string event(std::string_view data);

}  // namespace dept::http
