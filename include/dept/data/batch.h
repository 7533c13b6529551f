// Examples as ids, and their collation into ragged batches with the labels that the loss counts.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dept/tensor/ragged.h"
#include "dept/text/tokenizer.h"

namespace dept {

/// Which row of A·B a source token gets. `start`: token i gets row i. `end`: token i of L gets row s - L + i.
enum class DeltaAlignment { start, end };

/// One of the answers that an example may be trained on.
struct ScoredTarget {
  Ids ids;
  double score = 1;
};

struct Example {
  int64_t index = 0;  ///< global index in its data set: keys dropout and orders output
  Ids source;
  Ids target;                           ///< what the loss counts (ends in eos for T5, in pad for decoder-only models)
  double value = 0;                     ///< what a classification head learns: the label's index, or the number itself
  std::string image{};                  ///< what its visual tokens are read from; "" none
  int64_t visual = 0;                   ///< how many they are
  std::vector<ScoredTarget> targets{};  ///< what a training step draws the target from, by score; empty: `target` alone
  std::optional<double> score{};        ///< of the target that was drawn: Batch::score

  /// What the model reads of it: the source, text and image.
  int64_t read_tokens() const { return static_cast<int64_t>(source.size()) + visual; }
};

/// The visual tokens of a batch's sources, n in all: behind a text (encoder-decoder) or in front of it (decoder-only). They have
/// positions as other tokens have, and no row of A·B.
struct VisualTokens {
  at::Tensor token;     ///< int64 [n] where each stands among the tokens of the sources; undefined: there are none
  at::Tensor place;     ///< int64 [n] which of its image's tokens it is
  at::Tensor features;  ///< fp32 [n, C] what a VisualSource reads of the images

  bool any() const { return token.defined(); }
};

/// Texts and images: the adapter puts its prompt in front. Every tensor is on the CPU.
struct Batch {
  Ragged source;           ///< T5: encoder input. Decoder-only: source and all targets but the last
  at::Tensor source_ids;   ///< int64 [N]; 0 at visual tokens
  Ragged target;           ///< T5: decoder input, shifted right. Decoder-only: no sequences
  at::Tensor target_ids;   ///< int64 [N of target]
  at::Tensor label_token;  ///< int64 [n] token whose hidden state predicts the label: of target (T5) or source (decoder-only)
  at::Tensor labels;       ///< int64 [n]
  std::vector<int64_t> label_sequence;  ///< [n] sequence in the batch, ascending
  at::Tensor values;                    ///< fp64 [B] of the examples, for a head; else undefined
  VisualTokens visual{};
  at::Tensor
      score{};  ///< fp64 [B]: an example's loss is the mean over its label tokens times this; undefined: all tokens count alike
};

/// Encoder-decoder: decoder input is start_id, then target without its last id. Rows are 0.. whatever the alignment. Visual
/// tokens stand behind the text and are unbiased.
Batch collate_encoder_decoder(std::span<const Example> examples, int64_t decoder_start_id);

/// Decoder-only: visual tokens + source + target[:-1]; source token i gets a row by `alignment` within `max_length` rows, targets
/// none (-1).
/// Throws bad_input when a source is longer than max_length, or empty in front of a target; with prompt_predicts the shared
/// prompt's last token predicts that target's first label, which has label_token -1.
Batch collate_decoder_only(std::span<const Example> examples, DeltaAlignment alignment, int64_t max_length,
                           bool prompt_predicts = false);

/// What the original trains a decoder-only model on: source + target at the right end of max_length places, what is longer cut at
/// the right, so that a long source may lose its target. Every token has its place as position and as row.
Batch collate_original_training(std::span<const Example> examples, int64_t max_length);

/// What its evaluation loss is of: the source alone at the right end of those places, evaluated by the target (without its end
/// token) at the same end. Where a target is longer than its source, pads in front of this predict: each is a sequence of its own
/// that sees the prompt alone. What the prompt's last token predicts has label_token -1.
Batch collate_original_evaluating(std::span<const Example> examples, int64_t max_length, int64_t pad_id);

/// For a classification head: sources alone, with rows by `alignment` within `max_length`, and the examples' values. Visual
/// tokens stand in front of the text. Throws bad_input when a source is empty or longer than max_length.
Batch collate_classified(std::span<const Example> examples, DeltaAlignment alignment, int64_t max_length);

}  // namespace dept
