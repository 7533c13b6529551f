// A frozen model, its tokenizer and K stacked adapters as one: the loss of a batch, the scores of labels, answers in words, the
// judgement of a classification head.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dept/adapter/adapter_file.h"
#include "dept/adapter/method.h"
#include "dept/models/backbone.h"
#include "dept/models/generation.h"
#include "dept/text/tokenizer.h"
#include "dept/train/encode.h"

namespace dept {

/// Sums over the label tokens of a batch (with a head: over its examples), for each of K configurations; fp64 [K] both.
struct BatchLoss {
  at::Tensor nll;     ///< of -log p (of a regression head: the squared error), times the class's weight
  at::Tensor tokens;  ///< how many; under class weights the sum of theirs
};

/// Of one example and one label: the sum of -log p over the label's tokens, its end token included.
struct LabelNll {
  std::vector<double> nll;      ///< [labels]
  std::vector<int64_t> tokens;  ///< [labels]
};

struct Pipeline {
  std::shared_ptr<const Backbone> backbone;
  std::shared_ptr<const Tokenizer> tokenizer;
  EncodeRules rules;
  AdapterWeights weights;           ///< of no_adapter: the model as it is
  at::Tensor word_embeddings;       ///< [V, D] of a folded adapter, in place of the backbone's; else undefined
  bool backbone_dropout = true;     ///< in training; false switches the frozen model's off
  Pooling pooling = Pooling::last;  ///< with a head
  double label_smoothing = 0;       ///< of the loss, not of label scores
  at::Tensor class_weights;         ///< fp64 [C], of a head's loss; undefined: all 1

  bool has_head() const { return weights.has_head(); }

  /// The way of a batch to its loss; with `gradients` also those of all that trains, as sums over the batch.
  /// They are in the order of weights.parameters().
  BatchLoss loss(const Call& call, const Batch& batch, Gradients* gradients = nullptr) const;

  /// The batch's sources as the backbone takes them and, for an encoder-decoder, the decoder's input.
  AdaptedBatch adapt(const Call& call, const Batch& batch) const;
  /// Sources alone, int64 ids [N].
  AdaptedBatch adapt_source(const Call& call, const Ragged& tokens, const at::Tensor& ids) const;

  /// Replaces an adapter that is not going to be trained by what it amounts to.
  void fold();

  /// What the head says of each source, fp64 [B, C].
  at::Tensor head_logits(const Batch& batch) const;

  /// How likely each label is as the answer to each source (targets are not looked at): the source runs once, then each label's
  /// tokens behind it. Labels as encode_targets makes them.
  std::vector<LabelNll> label_nll(std::span<const Example> sources, std::span<const Ids> labels) const;

  /// Greedy answers, decoded without special tokens.
  std::vector<std::string> answers(std::span<const Example> sources, const GenerationOptions& options) const;

 private:
  /// The loss that hidden states give, and their gradient where the head's are asked for.
  struct Judged {
    BatchLoss loss;
    at::Tensor d_hidden;
  };
  Call backbone_call(Call call) const;
  AdapterCall adapter_call(const Call& call) const;
  const TextModel& text_model() const { return as_text_model(*backbone); }
  at::Tensor embed(const Ragged& tokens, const at::Tensor& ids) const;
  at::Tensor pooled_state(const PooledTokens& tokens, const Batch& batch, const at::Tensor& hidden) const;
  Judged judge_tokens(const Batch& batch, const PromptLayout& layout, const at::Tensor& hidden, bool with_gradient) const;
  Judged judge_texts(const Call& call, const Batch& batch, const PromptLayout& layout, const at::Tensor& hidden,
                     Gradients* gradients) const;
  Batch source_batch(std::span<const Example> sources) const;
};

/// softmax(-nll): the shares of the labels.
std::vector<double> label_shares(const std::vector<double>& nll);

}  // namespace dept
