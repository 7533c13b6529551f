// A frozen model, its tokenizer and K stacked adapters as one: the loss of a batch, the scores of labels, answers in words, the
// logits of a classification head.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dept/generation.h"
#include "dept/tokenizer.h"

namespace dept {

// What the library's own folders see of a model; opaque to other programs.
class Backbone;
class InputAdapter;
class TextModel;
struct AdaptedBatch;
struct AdapterWeights;
struct Batch;
struct Call;
struct EncodeRules;
struct Example;
struct ModelParts;
struct Ragged;

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

class AdaptedModel {
 public:
  /// Throws bug for parts that do not agree.
  explicit AdaptedModel(ModelParts parts);
  AdaptedModel(AdaptedModel&&) noexcept;
  AdaptedModel& operator=(AdaptedModel&&) noexcept;
  ~AdaptedModel();

  const ModelParts& parts() const { return *parts_; }
  const Backbone& backbone() const;
  /// Throws usage for an encoder.
  const TextModel& text_model() const;
  /// Throws bad_input for a model without one.
  const Tokenizer& tokenizer() const;
  const EncodeRules& rules() const;
  /// All that trains. A training step moves it, and asks for a model that is not const.
  const AdapterWeights& weights() const;
  const InputAdapter& adapter() const;
  bool has_head() const;

  /// The way of a batch to its loss; with `gradients` also those of all that trains, as sums over the batch.
  /// They are in the order of weights().parameters().
  BatchLoss loss(const Call& call, const Batch& batch, std::vector<at::Tensor>* gradients = nullptr) const;

  /// The batch's sources as the backbone takes them and, for an encoder-decoder, the decoder's input.
  AdaptedBatch adapt(const Call& call, const Batch& batch) const;
  /// Sources alone, int64 ids [N].
  AdaptedBatch adapt_source(const Call& call, const Ragged& tokens, const at::Tensor& ids) const;

  /// What the head says of each source, fp64 [B, C].
  at::Tensor head_logits(const Batch& batch) const;

  /// How likely each label is as the answer to each source (targets are not looked at): the source runs once, then each label's
  /// tokens behind it. Labels as encode_targets makes them.
  std::vector<LabelNll> label_nll(std::span<const Example> sources, std::span<const Ids> labels) const;

  /// The likeliest answer to each source, decoded without special tokens.
  std::vector<std::string> answers(std::span<const Example> sources, const GenerationOptions& options) const;

 private:
  std::unique_ptr<ModelParts> parts_;
};

/// softmax(-nll): the shares of the labels.
std::vector<double> label_shares(const std::vector<double>& nll);

}  // namespace dept
