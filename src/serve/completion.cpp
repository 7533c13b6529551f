// Requests for completions: what they may ask, and their answers while the tokens come.
#include <algorithm>
#include <cmath>
#include <random>

#include "dept/base/text.h"
#include "dept/text/chat.h"
#include "dept/text/text_stream.h"
#include "serve/job.h"
#include "serve/token_text.h"

namespace dept::serve {
namespace {

constexpr int64_t most_choices = 128, most_beams = 64, most_alternatives = 20, most_tokens = 1 << 20;

template <class T>
void require(bool good, std::string_view param, std::string_view expected, const T& received) {
  if (!good) refuse(Refusal::invalid, param, expected, str(received));
}

void check_draw(const CompletionRequest& request) {
  require(request.temperature >= 0 && std::isfinite(request.temperature), "temperature", "0 or a number above",
          request.temperature);
  require(request.top_p > 0 && request.top_p <= 1, "top_p", "a number above 0, at most 1", request.top_p);
  require(request.top_k >= 0, "top_k", "0 or more", request.top_k);
  const double penalty = request.repetition_penalty.value_or(1);
  require(penalty > 0 && std::isfinite(penalty), "repetition_penalty", "a number above 0", penalty);
}

void check_request(const CompletionRequest& request, const ModelInfo& info, int64_t max_running) {
  const int64_t least = request.echo ? 0 : 1, beams = std::min(most_beams, max_running);
  require(request.prompts.empty() != request.messages.empty(), "prompt", "at least one, or messages", "none or both");
  require(request.max_tokens >= least && request.max_tokens <= most_tokens, "max_tokens",
          str(least, " to ", most_tokens, request.echo ? "" : " (0 only with echo)"), request.max_tokens);
  require(request.num_beams >= 1 && request.num_beams <= beams, "num_beams", str("1 to ", beams), request.num_beams);
  const int64_t choices = request.num_beams > 1 ? request.num_beams : std::min(most_choices, max_running);
  require(request.n >= 1 && request.n <= choices, "n", str("1 to ", choices, request.num_beams > 1 ? ", num_beams" : ""),
          request.n);
  const int64_t logprobs = request.logprobs.value_or(0);
  require(logprobs >= 0 && logprobs <= most_alternatives, "logprobs", str("0 to ", most_alternatives), logprobs);
  require(!request.logprobs || request.num_beams == 1, "logprobs", "none with num_beams", logprobs);
  require(!request.echo || !info.encoder_decoder(), "echo", "false, as the model is an encoder-decoder", "true");
  for (const std::string& stop : request.stop) require(!stop.empty(), "stop", "texts of at least one character", "\"\"");
  check_draw(request);
}

const ChatForm& chat_form(const Base& base) {
  if (base.chat == nullptr)
    refuse(Refusal::invalid, "messages", "a model with a chat template of a form that is known",
           str(base.name, ": ", base.no_chat));
  return *base.chat;
}

GenerationOptions options_of(const Base& base, const CompletionRequest& request) {
  GenerationOptions options = request.num_beams > 1 ? base.by_beams : base.one_by_one;
  options.max_new_tokens = request.max_tokens;
  options.num_beams = request.num_beams;
  options.do_sample = request.temperature > 0;
  if (options.do_sample) options.temperature = request.temperature;
  options.top_p = request.top_p;
  options.top_k = request.top_k;
  if (!request.messages.empty()) end_at_turn(options, *base.tokenizer, chat_form(base));
  if (request.repetition_penalty) options.repetition_penalty = *request.repetition_penalty;
  if (request.seed) {
    options.seed = *request.seed;
  } else {
    std::random_device random;
    options.seed = uint64_t{random()} << 32 | random();
  }
  return options;
}

struct Prompt {
  std::string text;  // with echo
  Ids ids;
  std::vector<TokenLogprob> logprobs;  // with echo and logprobs
};

/// A choice while its tokens come.
struct Writing {
  Writing(const Tokenizer& tokenizer, const std::vector<std::string>& stops) : stream(tokenizer, stops), tokens(tokenizer) {}

  Choice choice;
  TextStream stream;
  TokenTexts tokens;
  bool begun = false;  // a token has come
  bool told = false;   // a delta has gone
};

class CompletionJob final : public Job {
 public:
  CompletionJob(const Base& base, std::shared_ptr<const ServedModel> served, CompletionRequest request,
                CompletionHandlers handlers)
      : Job(std::move(served), true),
        base_(base),
        tokenizer_(*base.tokenizer),
        request_(std::move(request)),
        handlers_(std::move(handlers)),
        options_(options_of(base, request_)),
        // Equal answers are sources of their own.
        split_(request_.num_beams == 1 && !options_.do_sample) {
    options_.num_return_sequences = split_ ? 1 : request_.n;
    for (const auto& given : request_.prompts) prompts_.push_back(prompt_of(given));
    if (!request_.messages.empty()) prompts_.push_back(prompt_of(conversation_ids()));
    for (size_t i = 0; i < prompts_.size() * static_cast<size_t>(request_.n); ++i) {
      writing_.emplace_back(tokenizer_, request_.stop);
      writing_.back().choice.index = static_cast<int64_t>(i);
    }
    for (const Prompt& prompt : prompts_) figures.usage.prompt_tokens += static_cast<int64_t>(prompt.ids.size());
    figures.usage.soft_prompt = model().soft_prompt() * static_cast<int64_t>(prompts_.size());
  }

  size_t parts() const override { return split_ ? writing_.size() : prompts_.size(); }
  int64_t width(size_t) const override { return std::max(options_.num_beams, options_.num_return_sequences); }
  int64_t tokens(size_t part) const override {
    return static_cast<int64_t>(prompts_[prompt_index(part)].ids.size()) + model().soft_prompt();
  }

  void finish() override {
    Completion completion;
    for (Writing& writing : writing_) completion.choices.push_back(std::move(writing.choice));
    completion.usage = figures.usage;
    if (!cancelled && handlers_.on_done) handlers_.on_done(std::move(completion));
  }
  void fail(const Error& failure) override {
    if (!cancelled && handlers_.on_error) handlers_.on_error(failure);
  }

 protected:
  std::optional<ContinuousBatch::TaskId> add(Work& work, size_t part) override {
    Prompt& prompt = prompts_[prompt_index(part)];
    const size_t first = split_ ? part : part * static_cast<size_t>(request_.n);
    WriteTask task;
    task.source = model().source(prompt.ids, static_cast<int64_t>(prompt_index(part)));
    task.options = options_;
    if (!base_.info().encoder_decoder()) task.counted = prompt.ids;
    task.logprobs = request_.logprobs;
    if (request_.echo && request_.logprobs && !prompt.ids.empty() && prompt.logprobs.empty()) task.scored = prompt.ids;
    task.on_text_scores = [this, &prompt](const std::vector<TokenScores>& scores) {
      TokenTexts tokens(tokenizer_);
      for (size_t i = prompt.logprobs.size(); i < prompt.ids.size(); ++i)
        prompt.logprobs.push_back(tokens.next(prompt.ids[i], i > 0 ? &scores[i - 1] : nullptr));
    };
    task.on_token = [this, first](size_t choice, int64_t id, const TokenScores* scores) {
      return take(writing_[first + choice], id, scores);
    };
    if (!request_.stop.empty())
      task.stops = [this](std::span<const int64_t> ids) {
        return find_stop(tokenizer_.decode_written(ids), request_.stop) != std::string::npos;
      };
    task.on_done = [this, first](const std::vector<Generated>& made) {
      for (size_t i = 0; i < made.size(); ++i) end(writing_[first + i], made[i]);
      part_is_through();
    };
    task.on_error = [this](const Error& failure) { error = failure; };
    return work.batch.add(std::move(task));
  }

 private:
  size_t prompt_index(size_t part) const { return split_ ? part / static_cast<size_t>(request_.n) : part; }
  bool streams() const { return handlers_.on_delta != nullptr; }

  Ids conversation_ids() const {
    try {
      return chat_prompt(tokenizer_, chat_form(base_), request_.messages, "messages");
    } catch (const RequestError&) {
      throw;
    } catch (const Error& error) {
      throw RequestError(Refusal::invalid, "messages", error.what());
    }
  }

  Prompt prompt_of(const std::variant<std::string, Ids>& given) const {
    Prompt prompt;
    const auto* text = std::get_if<std::string>(&given);
    prompt.ids = text != nullptr ? model().prompt_ids(*text) : std::get<Ids>(given);
    model().check_prompt(prompt.ids, request_.max_tokens);
    if (request_.echo) prompt.text = text != nullptr ? *text : tokenizer_.decode_written(prompt.ids);
    return prompt;
  }

  // In front of a choice's first token: the prompt, where it is to be echoed.
  void begin(Writing& writing, Delta& delta) {
    if (std::exchange(writing.begun, true) || !request_.echo) return;
    const Prompt& prompt = prompts_[static_cast<size_t>(writing.choice.index / request_.n)];
    delta.text = prompt.text;
    delta.logprobs = prompt.logprobs;
    writing.tokens = TokenTexts(tokenizer_, characters(prompt.text));
  }

  void tell(Writing& writing, Delta delta) {
    Choice& choice = writing.choice;
    choice.text += delta.text;
    choice.logprobs.insert(choice.logprobs.end(), delta.logprobs.begin(), delta.logprobs.end());
    choice.finish_reason = delta.finish_reason;
    if (!streams() || cancelled || (delta.text.empty() && delta.logprobs.empty() && delta.finish_reason.empty())) return;
    delta.first = !std::exchange(writing.told, true);
    handlers_.on_delta(delta);
  }

  // A choice's next token; true where a stop text ends it.
  bool take(Writing& writing, int64_t id, const TokenScores* scores) {
    if (!figures.first_token_seconds) figures.first_token_seconds = seconds();
    Choice& choice = writing.choice;
    Delta delta;
    delta.index = choice.index;
    begin(writing, delta);
    choice.ids.push_back(id);
    ++figures.usage.completion_tokens;
    delta.text += writing.stream.add(id);
    if (scores != nullptr) delta.logprobs.push_back(writing.tokens.next(id, scores));
    const bool stopped = writing.stream.stopped();
    if (stopped || std::find(options_.eos_ids.begin(), options_.eos_ids.end(), id) != options_.eos_ids.end())
      delta.finish_reason = finish_name(Generated::Finish::stop);
    else if (static_cast<int64_t>(choice.ids.size()) == options_.max_new_tokens)
      delta.finish_reason = finish_name(Generated::Finish::length);
    if (!delta.finish_reason.empty()) delta.text += writing.stream.finish();
    tell(writing, std::move(delta));
    return stopped;
  }

  // What has not been told token by token: the answers of a search, and those without a token.
  void end(Writing& writing, const Generated& made) {
    Choice& choice = writing.choice;
    if (!choice.finish_reason.empty()) return;
    if (!figures.first_token_seconds) figures.first_token_seconds = seconds();
    Delta delta;
    delta.index = choice.index;
    begin(writing, delta);
    choice.ids = made.ids;
    figures.usage.completion_tokens += static_cast<int64_t>(made.ids.size());
    const std::string whole = tokenizer_.decode_written(made.ids);
    delta.text += whole.substr(0, find_stop(whole, request_.stop));
    delta.finish_reason = finish_name(made.finish);
    tell(writing, std::move(delta));
  }

  const Base& base_;
  const Tokenizer& tokenizer_;
  CompletionRequest request_;
  CompletionHandlers handlers_;
  GenerationOptions options_;
  bool split_;
  std::vector<Prompt> prompts_;
  std::vector<Writing> writing_;
};

}  // namespace

std::shared_ptr<Job> make_job(const Base& base, std::shared_ptr<const ServedModel> model, CompletionRequest request,
                              CompletionHandlers handlers, int64_t max_running) {
  if (!model->entry().completes)
    refuse(Refusal::invalid, "model", "a model that answers in words", quote(request.model) + ", a classification head");
  check_request(request, base.info(), max_running);
  return std::make_shared<CompletionJob>(base, std::move(model), std::move(request), std::move(handlers));
}

}  // namespace dept::serve
