// Generation: new tokens one by one from a backbone's key-value cache.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "dept/models/backbone.h"

namespace dept {

/// The names are transformers'.
struct GenerationOptions {
  int64_t max_new_tokens = 20;
  int64_t min_new_tokens = 0;        ///< no eos before
  std::vector<int64_t> eos_ids;      ///< any of them ends a row; empty: rows go on to max_new_tokens
  double repetition_penalty = 1.0;   ///< > 0; 1 is none (Keskar et al., arXiv 1909.05858, section 4.1)
  int64_t no_repeat_ngram_size = 0;  ///< no n-gram twice; 0: off
};

struct Generated {
  enum class Finish { stop, length };
  std::vector<int64_t> ids;  ///< new tokens, up to and with the first eos
  Finish finish = Finish::length;
};

/// "stop" or "length".
const char* finish_name(Generated::Finish finish);

/// Told each new id of a row (its place in the answer); true ends the row with Finish::stop. For stop strings and streaming.
using TokenSink = std::function<bool(size_t row, int64_t id)>;

/// The likeliest token at every step (the first of equals), for all rows at once; finished rows leave the batch.
/// `source` is what forward would get: decoder-only, prompt and text embedded, sequences of example -1 being prompts that
/// others name as prefix and that get no answer; T5, the encoder's input, whose every sequence gets one.
/// Answers come in the order of the sequences. `counted` is empty or holds, for each answer, ids that repetition penalty
/// and n-gram bans count besides the new ones.
/// Throws usage for options out of range, bad_input for a sequence without tokens and prefix.
std::vector<Generated> generate_greedy(const Context& ctx, const Backbone& model, const Stream& source,
                                       const GenerationOptions& options, const std::vector<std::vector<int64_t>>& counted = {},
                                       const TokenSink& on_token = {});

}  // namespace dept
