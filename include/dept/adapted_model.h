// A frozen model, its tokenizer and K stacked adapters as one: the loss of a batch, the scores of labels, answers in words, the
// logits of a classification head.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dept/generation.h"
#include "dept/options.h"
#include "dept/task.h"
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
struct VisualTokens;

/// Sums over the label tokens of a batch (with a head: over its examples), for each of K configurations; fp64 [K] both.
struct BatchLoss {
  at::Tensor nll;     ///< of -log p (of a regression head: the squared error), times the class's weight; on the model's device
  at::Tensor tokens;  ///< how many; under class weights the sum of theirs; on the CPU
};

/// Of one example and one label: the sum of -log p over the label's tokens, its end token included.
struct LabelNll {
  std::vector<double> nll;      ///< [labels]
  std::vector<int64_t> tokens;  ///< [labels]
};

/// What a model says to a text: of its labels the likeliest, a number, or free text.
struct Prediction {
  std::string text;            ///< a label's name, or free text
  std::vector<double> scores;  ///< [labels] their shares, where they were scored
};

/// What a model is loaded for. One that answers holds what its adapter amounts to, and cannot be trained or saved.
enum class ModelUse { answering, training };

class AdaptedModel {
 public:
  /// The model and, where model.peft_model_id names one, its adapter, from the disk or the hub. How text becomes input and how it
  /// is answered is as the adapter's files say, but for what `data` has another value of than the default. Throws usage, io or
  /// bad_input.
  static AdaptedModel load(ModelOptions model, DataOptions data = {}, ModelUse use = ModelUse::answering);
  /// The model with a new adapter, to be trained; a classification head has data.task.labels. Throws usage, io or bad_input.
  static AdaptedModel create(ModelOptions model, AdapterOptions adapter, DataOptions data = {}, int64_t seed = 42);

  // Of texts, as they are or, where the adapter's template has more around it, with that.

  /// By the head, by the likelihood of each label (with labels), or free text.
  std::vector<Prediction> predict(std::span<const std::string> texts) const;
  /// The same of rows, whose sources are taken as they are and whose images an adapter that sees images is shown.
  std::vector<Prediction> predict(std::span<const TextExample> rows) const;
  /// How likely each answer is behind each text.
  std::vector<LabelNll> score(std::span<const std::string> texts, std::span<const std::string> answers) const;
  /// The likeliest answer to each text. Without eos_ids an answer ends with the model's own or the one that it was trained with.
  std::vector<std::string> generate(std::span<const std::string> texts, GenerationOptions options = {}) const;
  /// What a classification head says of each text, fp64 [texts, labels].
  at::Tensor logits(std::span<const std::string> texts) const;
  /// The mean loss of label tokens, of a head that of rows.
  double loss(std::span<const TextExample> rows) const;

  /// Writes the adapter's folder, with the tokenizer's files, which `dept` and load read. Throws io; usage for a model that is
  /// loaded to answer.
  void save(const std::filesystem::path& folder) const;

  // Of batches, for the library's own folders.

  /// What trains is moved to the model's device. Throws bug for parts that do not agree.
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
  /// They are in the order of weights().parameters(), each in its dtype or in fp64.
  BatchLoss loss(const Call& call, const Batch& batch, std::vector<at::Tensor>* gradients = nullptr) const;

  /// -log p of each label token, fp64 [n], without label smoothing.
  at::Tensor token_nll(const Batch& batch) const;

  /// The batch's sources as the backbone takes them and, for an encoder-decoder, the decoder's input. Without a decoder's input
  /// the tokens that loss reads are the stream's wanted ones.
  AdaptedBatch adapt(const Call& call, const Batch& batch) const;
  /// Sources alone, int64 ids [N]; `visual`: those of them that are of images (null: none).
  AdaptedBatch adapt_source(const Call& call, const Ragged& tokens, const at::Tensor& ids,
                            const VisualTokens* visual = nullptr) const;
  AdaptedBatch adapt_source(const Call& call, const Batch& batch) const;

  /// What the head says of each source, fp64 [B, C].
  at::Tensor head_logits(const Batch& batch) const;

  /// How likely each label is as the answer to each source (targets are not looked at): the source runs once, then each label's
  /// tokens behind it. Labels as encode_targets makes them. K stacked adapters have an equal run of the sources each.
  std::vector<LabelNll> label_nll(std::span<const Example> sources, std::span<const Ids> labels) const;

  /// The likeliest answer to each source, decoded without special tokens. Sources as label_nll takes them.
  std::vector<std::string> answers(std::span<const Example> sources, const GenerationOptions& options) const;

 private:
  std::unique_ptr<ModelParts> parts_;
};

/// softmax(-nll): the shares of the labels.
std::vector<double> label_shares(const std::vector<double>& nll);

}  // namespace dept
