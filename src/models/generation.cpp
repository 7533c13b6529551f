#include "dept/models/generation.h"

#include <ATen/ops/argmax.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <set>

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {

namespace {

using IdList = std::vector<int64_t>;

at::Tensor to_tensor(const IdList& values, c10::Device device) {
  return at::tensor(values, at::kLong).to(device);
}

void check_options(const GenerationOptions& options, int64_t vocab) {
  const auto require = [](bool good, std::string_view name, std::string_view expected, std::string_view received) {
    if (!good) fail(Code::usage, name, expected, received);
  };
  require(options.max_new_tokens >= 0, "max_new_tokens", "0 or more", str(options.max_new_tokens));
  require(options.min_new_tokens >= 0, "min_new_tokens", "0 or more", str(options.min_new_tokens));
  require(options.repetition_penalty > 0, "repetition_penalty", "a number above 0", str(options.repetition_penalty));
  require(options.no_repeat_ngram_size >= 0, "no_repeat_ngram_size", "0 or more", str(options.no_repeat_ngram_size));
  for (const int64_t id : options.eos_ids)
    require(id >= 0 && id < vocab, "eos_token_id", str("ids from 0 to ", vocab - 1), str(id));
}

/// The rows of one generation and their cache. Knows nothing of how tokens are chosen.
class Decoding {
 public:
  Decoding(const Context& ctx, const Backbone& model, const Stream& source, int64_t max_new_tokens) : ctx_(ctx), model_(model) {
    ctx_.training = false;
    source.tokens.check();
    if (model.info().encoder_decoder()) {
      encode(source, max_new_tokens);
    } else {
      prefill(source, max_new_tokens);
    }
  }

  size_t rows() const { return rows_.size(); }

  /// Logits [rows, V] of every row's first new token.
  at::Tensor first_logits() {
    if (!model_.info().encoder_decoder()) return model_.logits(ctx_, last_hidden_);
    std::vector<size_t> all(rows());
    std::iota(all.begin(), all.end(), size_t{0});
    return extend(all, IdList(rows(), *model_.info().decoder_start_id));
  }

  /// Appends ids[i] to row which[i]; logits [which, V] of the tokens after.
  at::Tensor extend(const std::vector<size_t>& which, const IdList& ids) {
    Stream fresh;
    IdList positions, slots;
    for (const size_t r : which) {
      fresh.tokens.append(1, rows_[r].example, rows_[r].config);
      positions.push_back(rows_[r].next_position++);
      slots.push_back(rows_[r].slot);
    }
    fresh.tokens.position = to_tensor(positions, ctx_.device);
    fresh.embeds = model_.embed(to_tensor(ids, ctx_.device)).to(ctx_.residual());
    return model_.logits(ctx_, model_.extend(ctx_, *cache_, fresh, slots));
  }

 private:
  struct Row {
    int64_t slot, example, config, next_position;
  };

  void encode(const Stream& source, int64_t max_new_tokens) {
    if (!model_.info().decoder_start_id) fail(Code::bad_input, "config.json", "decoder_start_token_id", "none");
    for (int64_t b = 0; b < source.tokens.batch(); ++b) {
      if (source.tokens.length(b) == 0) fail(Code::bad_input, str("sequence ", b), "at least one token", "none");
      rows_.push_back({b, source.tokens.example[b], source.tokens.config[b], 0});
    }
    cache_ = model_.start(ctx_, source, source.tokens.batch(), max_new_tokens);
  }

  void prefill(const Stream& source, int64_t max_new_tokens) {
    const Ragged& tokens = source.tokens;
    cache_ = model_.start(ctx_, source, tokens.batch(), tokens.max_length() + max_new_tokens);
    const at::Tensor position = tokens.position.cpu();
    const int64_t* positions = position.data_ptr<int64_t>();
    IdList slots(tokens.batch()), last_tokens;
    std::iota(slots.begin(), slots.end(), int64_t{0});
    for (int64_t b = 0; b < tokens.batch(); ++b) {
      if (tokens.example[b] < 0) continue;
      const int64_t holder = tokens.length(b) > 0 ? b : tokens.prefix[b];  // an empty text goes on from its prompt
      if (holder < 0 || tokens.length(holder) == 0) fail(Code::bad_input, str("sequence ", b), "at least one token", "none");
      last_tokens.push_back(tokens.offsets[holder + 1] - 1);
      rows_.push_back({b, tokens.example[b], tokens.config[b], positions[last_tokens.back()] + 1});
    }
    last_hidden_ = model_.extend(ctx_, *cache_, source, slots).index_select(0, to_tensor(last_tokens, ctx_.device));
  }

  Context ctx_;
  const Backbone& model_;
  std::unique_ptr<KvCache> cache_;
  std::vector<Row> rows_;
  at::Tensor last_hidden_;  // [rows, D] of the prompts, decoder-only
};

/// score / penalty above zero, score * penalty below, once for each id in `history`.
template <class T>
void penalise_repetition(T* scores, const IdList& history, double penalty) {
  for (const int64_t id : std::set<int64_t>(history.begin(), history.end())) {
    scores[id] = scores[id] < 0 ? scores[id] * static_cast<T>(penalty) : scores[id] / static_cast<T>(penalty);
  }
}

/// Forbids every id that would end an n-gram which `history` holds already.
template <class T>
void ban_ngrams(T* scores, const IdList& history, int64_t n) {
  const int64_t length = static_cast<int64_t>(history.size());
  if (length + 1 < n) return;
  const auto tail = history.end() - (n - 1);
  for (auto begin = history.begin(); begin + (n - 1) != history.end(); ++begin) {
    if (std::equal(tail, history.end(), begin)) scores[*(begin + (n - 1))] = -std::numeric_limits<T>::infinity();
  }
}

/// One row of logits as the choice of the next token sees it, in transformers' order of processors.
template <class T>
void process_row(T* scores, const IdList& history, int64_t new_tokens, const GenerationOptions& options) {
  if (options.repetition_penalty != 1.0) penalise_repetition(scores, history, options.repetition_penalty);
  if (options.no_repeat_ngram_size > 0) ban_ngrams(scores, history, options.no_repeat_ngram_size);
  if (new_tokens >= options.min_new_tokens) return;
  for (const int64_t id : options.eos_ids) scores[id] = -std::numeric_limits<T>::infinity();
}

/// What a row has said so far.
struct State {
  IdList history;  // ids that penalties count
  Generated out;
};

/// Logits [which, V], of the rows `which`, after all processors; on the CPU where one had work to do.
at::Tensor process(const at::Tensor& logits, const std::vector<size_t>& which, const std::vector<State>& states,
                   const GenerationOptions& options) {
  const bool counts = options.repetition_penalty != 1.0 || options.no_repeat_ngram_size > 0;
  if (!counts && static_cast<int64_t>(states[which.front()].out.ids.size()) >= options.min_new_tokens) return logits;
  const at::Tensor scores = logits.cpu().contiguous();
  for (size_t i = 0; i < which.size(); ++i) {
    const State& state = states[which[i]];
    const int64_t made = static_cast<int64_t>(state.out.ids.size()), at = static_cast<int64_t>(i) * scores.size(1);
    if (scores.scalar_type() == at::kDouble) {
      process_row(scores.data_ptr<double>() + at, state.history, made, options);
    } else {
      process_row(scores.data_ptr<float>() + at, state.history, made, options);
    }
  }
  return scores;
}

bool is_eos(const GenerationOptions& options, int64_t id) {
  return std::find(options.eos_ids.begin(), options.eos_ids.end(), id) != options.eos_ids.end();
}

std::vector<State> initial_states(size_t rows, const std::vector<IdList>& counted, int64_t vocab) {
  if (!counted.empty() && counted.size() != rows) {
    fail(Code::bug, "generate_greedy", str(rows, " lists of counted ids"), str(counted.size()));
  }
  std::vector<State> states(rows);
  for (size_t r = 0; r < counted.size(); ++r) {
    for (const int64_t id : counted[r]) {
      if (id < 0 || id >= vocab) fail(Code::bad_input, "counted ids", str("ids from 0 to ", vocab - 1), str(id));
    }
    states[r].history = counted[r];
  }
  return states;
}

}  // namespace

const char* finish_name(Generated::Finish finish) {
  return finish == Generated::Finish::stop ? "stop" : "length";
}

std::vector<Generated> generate_greedy(const Context& ctx, const Backbone& model, const Stream& source,
                                       const GenerationOptions& options, const std::vector<IdList>& counted,
                                       const TokenSink& on_token) {
  check_options(options, model.info().vocab);
  Decoding decoding(ctx, model, source, options.max_new_tokens);
  std::vector<State> states = initial_states(decoding.rows(), counted, model.info().vocab);
  std::vector<size_t> active(states.size());
  std::iota(active.begin(), active.end(), size_t{0});
  if (options.max_new_tokens == 0) active.clear();

  at::Tensor logits;
  IdList ids;
  while (!active.empty()) {
    logits = ids.empty() ? decoding.first_logits() : decoding.extend(active, ids);
    const at::Tensor best = at::argmax(process(logits, active, states, options), 1).cpu();
    std::vector<size_t> going;
    ids.clear();
    for (size_t i = 0; i < active.size(); ++i) {
      const size_t r = active[i];
      const int64_t id = best.data_ptr<int64_t>()[i];
      Generated& out = states[r].out;
      out.ids.push_back(id);
      states[r].history.push_back(id);
      const bool told_to_stop = on_token && on_token(r, id);
      if (told_to_stop || is_eos(options, id)) {
        out.finish = Generated::Finish::stop;
      } else if (static_cast<int64_t>(out.ids.size()) < options.max_new_tokens) {
        going.push_back(r);
        ids.push_back(id);
      }
    }
    active = std::move(going);
  }
  std::vector<Generated> answers;
  for (State& state : states) answers.push_back(std::move(state.out));
  return answers;
}

}  // namespace dept
