// A frozen model, its tokenizer and K stacked adapters as one: the loss of a batch, the scores of labels, answers in words.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dept/adapter/adapter_file.h"
#include "dept/adapter/dept.h"
#include "dept/models/backbone.h"
#include "dept/models/generation.h"
#include "dept/text/tokenizer.h"
#include "dept/train/encode.h"

namespace dept {

/// Sums over the label tokens of a batch, for each of K configurations; fp64 [K] both.
struct BatchLoss {
  at::Tensor nll;     ///< of -log p
  at::Tensor tokens;  ///< how many
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
  DeptWeights weights;  ///< M = 0 and R = 0: the model as it is
  double scale = 0;     ///< of A·B

  /// The way of a batch to its loss; with `gradients` also those of P, A and B, as sums over the batch.
  BatchLoss loss(const Context& ctx, const Batch& batch, DeptWeights* gradients = nullptr) const;

  /// How likely each label is as the answer to each source (targets are not looked at): the source runs once, then each label's
  /// tokens behind it. Labels as encode_targets makes them.
  std::vector<LabelNll> label_nll(const Context& ctx, std::span<const Example> sources, std::span<const Ids> labels) const;

  /// Greedy answers, decoded without special tokens.
  std::vector<std::string> answers(const Context& ctx, std::span<const Example> sources, const GenerationOptions& options) const;

 private:
  bool shares_prompt(const Context& ctx) const;
  Stream embed_source(const Context& ctx, const Batch& batch) const;
  Batch source_batch(std::span<const Example> sources) const;
};

/// softmax(-nll): the shares of the labels.
std::vector<double> label_shares(const std::vector<double>& nll);

/// Adapter weights that leave the model as it is.
DeptWeights no_adapter(int64_t hidden);

}  // namespace dept
