// One pass of a model over new tokens of many sequences, each behind what its slot holds.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <vector>

#include "dept/models/backbone.h"

namespace dept {

using IdList = std::vector<int64_t>;

/// New tokens of one sequence.
struct SequencePiece {
  int64_t slot = 0;
  int64_t prefix = -1;   ///< slot that stands in front from now on; -1: as it is
  int64_t position = 0;  ///< of the first token
  at::Tensor embeds;     ///< [n, D] of the residual's dtype, or
  IdList ids;            ///< [n]
  int64_t wanted = 0;    ///< how many tokens at the end logits are wanted of
};

class ContinuousStep {
 public:
  explicit ContinuousStep(const TextModel& model) : model_(model) {}

  /// Returns its number. A slot has one piece at most.
  size_t add(SequencePiece piece);
  /// Hidden states [n, D] of tokens that ran before, of all of which logits are wanted.
  size_t add_hidden(at::Tensor hidden);
  void run(KvCache& cache);

  const TextModel& model() const { return model_; }
  int64_t tokens() const { return tokens_; }
  /// Of a piece: hidden states [n, D].
  at::Tensor hidden(size_t piece) const;
  /// Of a piece: logits [wanted, V].
  at::Tensor logits(size_t piece) const;
  /// Of a piece of which one token's are wanted: the first of its likeliest ids.
  int64_t likeliest(size_t piece);

 private:
  struct Rows {
    int64_t begin = 0, count = 0;
  };
  Stream gathered(IdList& slots);

  const TextModel& model_;
  std::vector<SequencePiece> pieces_;
  std::vector<at::Tensor> given_;       // by piece: hidden states of add_hidden, else undefined
  std::vector<Rows> tokens_of_, rows_;  // by piece: its hidden states, its logits
  int64_t tokens_ = 0;
  at::Tensor hidden_, logits_, likeliest_;
};

}  // namespace dept
