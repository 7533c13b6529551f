// The rows of one generation and their key-value cache. Knows nothing of how tokens are chosen.
#pragma once

#include <memory>
#include <vector>

#include "dept/models/generation.h"

namespace dept {

using IdList = std::vector<int64_t>;

/// Each source has `width` rows (beams or samples): row source * width + i. A source runs once; its rows share its keys.
class Decoding {
 public:
  Decoding(const TextModel& model, const GenerationInput& input, int64_t width, int64_t max_new_tokens);

  size_t sources() const { return sources_.size(); }
  int64_t width() const { return width_; }
  Kernels kernels() const { return model_.context().kernels; }
  int64_t example(size_t source) const { return sources_[source].example; }
  /// The new tokens that a source may have of `most`: the model's positions end an answer. Throws bad_input where there is no
  /// room for a first one.
  int64_t limit(size_t source, int64_t most) const;

  /// Logits [sources, V] of every source's first new token. Called once, first.
  at::Tensor first_logits();
  /// Appends ids[i] to row which[i]; logits [which, V] of the tokens after.
  at::Tensor extend(const std::vector<size_t>& which, const IdList& ids);
  /// Row i of a source goes on from what row parents[i] of it holds.
  void reorder(size_t source, const std::vector<size_t>& parents);
  /// A row that will not be extended again.
  void finish(size_t row);

 private:
  struct Source {
    int64_t slot, example, config, next_position;
  };
  struct Row {
    int64_t slot, next_position;
    bool started = false;  // shares its source's slot already, or is it
  };

  void encode(const Stream& source, int64_t max_new_tokens);
  void prefill(const Stream& source, int64_t max_new_tokens);
  at::Tensor start_decoder();

  const TextModel& model_;
  int64_t width_;
  at::Tensor decoder_prompt_;
  std::unique_ptr<KvCache> cache_;
  std::vector<Source> sources_;
  std::vector<Row> rows_;
  at::Tensor last_hidden_;  // [sources, D] of the prompts, decoder-only
};

}  // namespace dept
