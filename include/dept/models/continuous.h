// Sequences of many askers computed together, a token of each a step: they are admitted between steps and leave when they are
// through. What is answered to one does not depend on the others.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "dept/error.h"
#include "dept/generation.h"
#include "dept/models/pooled.h"

namespace dept {

/// A prompt that stands in front of many texts of a decoder-only model, [M, D] of the residual's dtype. Its keys and values are
/// computed once and kept; it is told by its address.
struct SoftPrompt {
  at::Tensor rows;
};

struct ContinuousSource {
  std::shared_ptr<const SoftPrompt> prompt;  ///< decoder-only: in front of the text; null: none
  at::Tensor embeds;                         ///< [n, D] of the residual's dtype: the text or, T5, the whole encoder's input
  at::Tensor decoder_prompt;                 ///< T5: [P, D] in front of the decoder's start token; undefined: none
  int64_t example = 0;                       ///< keys the draws
};

/// The plain log-softmax at one place.
struct TokenScores {
  double logprob = 0;                            ///< of the token that stands there
  std::vector<std::pair<int64_t, double>> best;  ///< the likeliest ids, best first, as many as are asked for
};

/// A source to be continued: num_return_sequences answers by the options, as generate() gives them.
struct WriteTask {
  ContinuousSource source;
  GenerationOptions options;
  std::vector<int64_t> counted;     ///< ids that penalties count besides the new ones
  std::optional<int64_t> logprobs;  ///< how many of the likeliest are wanted with each token's own; no beams
  std::vector<int64_t> scored;      ///< decoder-only: the text's ids, where the scores of all but the first are wanted

  std::function<void(std::vector<TokenScores>)> on_text_scores;
  /// A new token of one answer, with its scores where they are asked for; true ends the answer with Finish::stop. No beams.
  std::function<bool(size_t choice, int64_t id, const TokenScores* scores)> on_token;
  /// Of a beam search: whether a candidate's new ids end it.
  std::function<bool(std::span<const int64_t> ids)> stops;
  std::function<void(std::vector<Generated>)> on_done;
  std::function<void(const Error&)> on_error;
};

/// A label behind a source: what is read and what each of these tokens is to predict.
struct LabelRun {
  std::vector<int64_t> inputs, outputs;
  std::optional<int64_t> first;  ///< decoder-only: what the source's last token is to predict
};

/// How likely each label is as the answer to a source.
struct LabelTask {
  ContinuousSource source;
  std::vector<LabelRun> labels;
  std::function<void(std::vector<double> nll)> on_done;  ///< [labels] sum of -log p over the label's tokens
  std::function<void(const Error&)> on_error;
};

struct ContinuousOptions {
  int64_t max_sequences = 64;  ///< at once; each answer or beam is one
  int64_t cache_bytes = int64_t{8} << 30;
  int64_t prompt_bytes = int64_t{256} << 20;  ///< of prompts that no task uses
};

class ContinuousBatch {
 public:
  using TaskId = uint64_t;

  /// The model must outlive this.
  ContinuousBatch(const TextModel& model, const ContinuousOptions& options);
  ~ContinuousBatch();

  /// A task that takes part from the next step on; absent where there is no room for it now. Throws usage for options out of
  /// range, bad_input for a source without tokens, resource for one that needs more than the whole pool.
  std::optional<TaskId> add(WriteTask task);
  std::optional<TaskId> add(LabelTask task);
  /// Frees its place; its functions are not called any more. Not to be called from them.
  void remove(TaskId task);

  bool empty() const;
  /// Sequences of the tasks that are there.
  int64_t sequences() const;

  struct Figures {
    int64_t sequences = 0, tokens = 0;
  };
  /// One step of every task; their functions are called. An error that only one task has is told to it.
  Figures step();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace dept
