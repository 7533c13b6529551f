// How answers are generated, and what comes out.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace dept {

/// When a beam search ends: with num_beams answers at hand (yes), when a better one is unlikely (no) or impossible (never).
enum class EarlyStopping { no, yes, never };

/// The names and defaults are transformers'.
struct GenerationOptions {
  int64_t max_new_tokens = 20;           ///< a model's positions may end an answer before
  int64_t min_new_tokens = 0;            ///< no eos before
  std::vector<int64_t> eos_ids;          ///< any of them ends a row; empty: rows go on to max_new_tokens
  double repetition_penalty = 1.0;       ///< > 0; 1 is none (Keskar et al., arXiv 1909.05858, section 4.1)
  int64_t no_repeat_ngram_size = 0;      ///< no n-gram twice; 0: off
  std::optional<int64_t> forced_bos_id;  ///< the first new token, whatever the model says
  std::vector<int64_t> forced_eos_ids;   ///< one of them is the last of max_new_tokens; empty: off

  int64_t num_beams = 1;        ///< 1: no beam search
  double length_penalty = 1.0;  ///< beams are ranked by the sum of log p over length^length_penalty
  EarlyStopping early_stopping = EarlyStopping::no;
  /// Beam search in the form that transformers 4 had, whose lengths count this many tokens in front of the new ones and no eos.
  std::optional<int64_t> listed_beams;
  int64_t num_return_sequences = 1;  ///< answers to each source: at most num_beams, or samples

  bool do_sample = false;  ///< draw the next token; else take the likeliest
  double temperature = 1.0;
  int64_t top_k = 50;  ///< draw from the k likeliest; 0: from all
  double top_p = 1.0;  ///< draw from the likeliest that together have this probability (Holtzman et al., arXiv 1904.09751)
  uint64_t seed = 42;  ///< of the draws: a pure function of seed, example, choice and step, whatever else is in the batch
};

struct Generated {
  enum class Finish { stop, length };
  std::vector<int64_t> ids;  ///< new tokens, up to and with the first eos
  Finish finish = Finish::length;
  double score = 0;  ///< beam search: sum of log p / length^length_penalty
};

}  // namespace dept
