// The engine of `dept serve`: one frozen model, its adapters by name, and requests for any of them computed together, token by
// token, on a thread of its own. It knows nothing of HTTP.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "dept/adapted_model.h"
#include "dept/base/file.h"
#include "dept/chat.h"
#include "dept/error.h"
#include "dept/options.h"
#include "dept/tokenizer.h"

namespace dept {
struct ModelInfo;
}

namespace dept::serve {

struct EngineOptions {
  int64_t max_running = 64;    ///< sequences computed together; each choice or beam of a prompt is one
  int64_t max_queue = 256;     ///< requests that wait; one more is refused
  int64_t step_tokens = 4096;  ///< of a step, new prompts' tokens among them; a longer prompt has a step with no other new one
  int64_t cache_bytes = int64_t{8} << 30;           ///< of keys and values at most; used as they fill
  int64_t prompt_cache_bytes = int64_t{256} << 20;  ///< of adapters' prompts that no request uses and that are kept all the same
};

/// Why a request is not taken.
enum class Refusal {
  invalid,         ///< a value that is none, named by param
  unknown_model,   ///< no base and no adapter of that name
  context_length,  ///< soft prompt, prompt and answer together are longer than the model's positions
  queue_full,      ///< max_queue requests wait
  draining,        ///< the engine ends
};

/// A request that is not taken. Its code is bad_input, of queue_full and draining resource.
class RequestError : public Error {
 public:
  RequestError(Refusal refusal, std::string param, const std::string& message);
  Refusal refusal() const { return refusal_; }
  /// The request's field that is wrong, "" where it is none.
  const std::string& param() const { return param_; }

 private:
  Refusal refusal_;
  std::string param_;
};

/// POST /v1/completions and /v1/chat/completions, with their names and defaults.
struct CompletionRequest {
  std::string model;                                    ///< the base's name or an adapter's
  std::vector<std::variant<std::string, Ids>> prompts;  ///< ids get no special tokens; a text gets the tokenizer's
  /// In the place of prompts: a conversation in the model's chat form, whose mark ends an answer
  std::vector<ChatMessage> messages;
  int64_t max_tokens = 16;  ///< 0 only with echo
  double temperature = 1;   ///< 0: the likeliest token
  double top_p = 1;
  int64_t top_k = 0;                         ///< 0: off
  std::optional<double> repetition_penalty;  ///< absent: as the model's generation_config.json has it, else 1
  int64_t num_beams = 1;
  int64_t n = 1;  ///< answers to each prompt
  std::vector<std::string> stop;
  std::optional<uint64_t> seed;     ///< absent: drawn anew
  bool echo = false;                ///< the prompt stands in front of the answer
  std::optional<int64_t> logprobs;  ///< how many alternatives to each token, 0: the token's own alone
};

/// One of the tokens that could have stood in a place.
struct Alternative {
  int64_t id;
  std::string text;
  double logprob;
};

/// A token with its log-probability by the plain softmax of the logits.
struct TokenLogprob {
  int64_t id;
  std::string text;               ///< what it adds to the text in front of it; a special token's name
  int64_t text_offset;            ///< characters of the choice's text in front of it
  std::optional<double> logprob;  ///< absent for the first token of a prompt
  std::vector<Alternative> top;   ///< the likeliest, best first, and the token itself behind them unless it is one of them
};

/// What a step adds to one choice.
struct Delta {
  int64_t index = 0;  ///< prompt * n + choice
  std::string text;   ///< whole characters, nothing that a stop text may begin with; with echo the first one has the prompt
  std::vector<TokenLogprob> logprobs;  ///< of the new tokens, where they are asked for
  std::string finish_reason;           ///< "stop" or "length" in a choice's last one, else ""
  bool first = false;                  ///< of its choice
};

struct Choice {
  int64_t index = 0;  ///< prompt * n + choice
  std::string text;
  Ids ids;  ///< new ones, up to and with the first end token
  std::vector<TokenLogprob> logprobs;
  std::string finish_reason;  ///< "stop" or "length"
};

struct Usage {
  int64_t prompt_tokens = 0;      ///< ids of all prompts, special tokens among them
  int64_t soft_prompt = 0;        ///< prompt vectors of the adapter, for each prompt
  int64_t completion_tokens = 0;  ///< ids of all choices
};

struct Completion {
  std::vector<Choice> choices;  ///< by index
  Usage usage;
};

/// Who asked for a completion. All are called on the engine's thread, outside its lock, and must not wait. Of on_done and
/// on_error one is called once, unless the request is cancelled before.
struct CompletionHandlers {
  std::function<void(const Delta&)> on_delta;  ///< empty: the answer is wanted whole. A beam search gives each choice at once
  std::function<void(Completion)> on_done;
  std::function<void(const Error&)> on_error;  ///< what the model refused while it ran
};

/// POST /v1/classify: texts as `dept predict` reads them, with the adapter's template and suffix.
struct ClassifyRequest {
  std::string model;
  std::vector<std::string> texts;
};

struct Classification {
  std::vector<std::string> labels;
  std::vector<Prediction> predictions;  ///< [texts], scores in the labels' order
  Usage usage;
};

struct ClassifyHandlers {
  std::function<void(Classification)> on_done;
  std::function<void(const Error&)> on_error;
};

using RequestId = uint64_t;

/// The base or an adapter.
struct ModelEntry {
  std::string id;
  std::string root;     ///< the base's folder or file, an adapter's folder
  std::string parent;   ///< "" for the base
  int64_t created = 0;  ///< seconds since 1970
  int64_t soft_prompt = 0;
  bool completes = true;  ///< false: it has a classification head
  bool classifies = false;
  std::vector<std::string> labels;
};

/// How a request that was taken left.
enum class Outcome { done, failed, cancelled };

struct RequestFigures {
  std::string model;
  bool completion = true;  ///< false: a classification
  Outcome outcome = Outcome::done;
  Usage usage;  ///< so far, of one that was cancelled
  double seconds = 0;
  std::optional<double> first_token_seconds;
  int64_t batch_size = 0;  ///< the most sequences that were computed together with it in a step
};

/// Called on the engine's thread, outside its lock.
struct EngineObserver {
  std::function<void(const RequestFigures&)> on_request;  ///< behind the request's own handlers
};

struct EngineLoad {
  int64_t queued = 0;   ///< requests of which nothing has been computed
  int64_t running = 0;  ///< requests of which something has
};

/// All functions may be called from any thread but the engine's own handlers, in which only complete, classify, cancel and
/// those that are const may be.
class Engine {
 public:
  /// Loads the model (of ModelOptions no peft_model_id counts) and starts the thread. Throws usage for a model that writes no
  /// text, io or bad_input.
  explicit Engine(ModelOptions model, EngineOptions options = {}, EngineObserver observer = {});
  /// Requests that are there end with an error.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  const ModelInfo& info() const;
  const Tokenizer& tokenizer() const;
  /// The base's name: the last part of the model's path without ".gguf".
  const std::string& base() const;

  /// Reads and folds an adapter, while requests go on, and gives it a name. Throws io or bad_input naming the folder and what is
  /// wrong, usage for a name that is taken or empty.
  void add_adapter(const std::string& name, const fs::path& folder);
  /// The same for a name that an adapter has: requests from now on get the new one, those that are there keep theirs, and none
  /// fails in between. Throws usage for a name without an adapter; the adapter stays where the folder is refused.
  void replace_adapter(const std::string& name, const fs::path& folder);
  /// No request finds the name from now on; returns when those that have are through. False for a name that no adapter has.
  bool remove_adapter(const std::string& name);
  /// The base, then the adapters by name.
  std::vector<ModelEntry> models() const;
  std::optional<ModelEntry> model(const std::string& name) const;

  /// Throws RequestError; nothing is called then.
  RequestId complete(CompletionRequest request, CompletionHandlers handlers);
  RequestId classify(ClassifyRequest request, ClassifyHandlers handlers);
  /// The request leaves within a step. Its handlers are not called any more, but for one that is running. Nothing happens where
  /// it has ended.
  void cancel(RequestId request);

  EngineLoad load() const;
  /// Refuses requests from now on and waits for those that are there. False where some were still there after `longest`.
  bool drain(std::chrono::milliseconds longest);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace dept::serve
