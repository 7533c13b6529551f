// What an AdaptedModel is made of.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "dept/adapted_model.h"
#include "dept/adapter/adapter_file.h"
#include "dept/adapter/method.h"
#include "dept/models/backbone.h"
#include "dept/models/generation.h"
#include "dept/text/tokenizer.h"
#include "dept/train/encode.h"

namespace dept {

struct ModelParts {
  std::shared_ptr<const Backbone> backbone;
  std::shared_ptr<const Tokenizer> tokenizer;  ///< null: ids alone go in and out
  EncodeRules rules;
  AdapterWeights weights;                      ///< of no_adapter: the model as it is
  AdapterConfig config;                        ///< of the adapter, where a file has or gets one
  std::shared_ptr<const Backbone> recorded{};  ///< the backbone with its training steps recorded; null: they are not
  bool folded = false;                         ///< the adapter is replaced by what it amounts to
  at::Tensor word_embeddings{};                ///< [V, D] of a folded adapter, in place of the backbone's; else undefined
  Pooling pooling = Pooling::last;             ///< with a head
  bool backbone_dropout = true;                ///< in training; false switches the frozen model's off
  double label_smoothing = 0;                  ///< of the loss, not of label scores
  at::Tensor class_weights{};                  ///< fp64 [C], of a head's loss; undefined: all 1

  bool has_head() const { return weights.has_head(); }
  /// What a loss with gradients runs.
  const Backbone& trained() const { return recorded ? *recorded : *backbone; }
};

/// The parts with the adapter replaced by what it amounts to, for a model that is not going to be trained.
ModelParts fold(ModelParts parts);

}  // namespace dept
