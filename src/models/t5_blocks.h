// One block of T5's encoder or decoder: residual sub-layers, each with its dropout.
#pragma once

#include <optional>
#include <vector>

#include "dept/nn/modules.h"
#include "models/common.h"

namespace dept {

/// What every block of a stack needs to know of a batch.
struct T5Plan {
  nn::AttentionPlan self, cross;   ///< dropout and bias are set for each layer
  std::vector<at::Tensor> biases;  ///< relative biases of self-attention, [H, 2R + 1] each: one a layer, or one for all
  at::ScalarType dtype;
  Kernels kernels = Kernels::own;
  const Call* call = nullptr;  ///< null: no dropout (generation)
  const Ragged* tokens = nullptr;
  double p = 0;
  int64_t first_layer = 0;  ///< in dropout keys

  kernels::Dropout dropout(int64_t layer, Site site) const {
    return call != nullptr ? kernels::Dropout(*call, *tokens, p, first_layer + layer, site) : kernels::Dropout();
  }
  nn::AttentionPlan self_of(int64_t layer) const;
  nn::AttentionPlan cross_of(int64_t layer) const;
};

struct T5Block {
  nn::RmsNorm attention_norm;
  nn::SelfAttention attention;
  nn::RmsNorm cross_norm;                   // decoder only
  std::optional<nn::CrossAttention> cross;  // decoder only
  nn::RmsNorm feed_forward_norm;
  nn::FeedForward feed_forward;

  struct Saved {
    nn::RmsNorm::Saved attention_norm, cross_norm, feed_forward_norm;
    nn::SelfAttention::Saved attention;
    nn::CrossAttention::Saved cross;
    nn::FeedForward::Saved feed_forward;
    int64_t bytes() const;
  };

  /// The norm in front of the block, for the block before.
  nn::NextNorm<nn::RmsNorm> first_norm(Saved* saved) const {
    return {&attention_norm, saved != nullptr ? &saved->attention_norm : nullptr};
  }

  /// stream.x, where it is defined, is what first_norm gave; that of the result is what `next` gives. `memory` is what all layers
  /// share of the encoder's output (decoder only).
  nn::ResidualStream forward(nn::ResidualStream stream, const nn::CrossAttention::Memory& memory, const T5Plan& plan,
                             int64_t layer, Saved* saved, const nn::NextNorm<nn::RmsNorm>& next) const;
  /// d becomes the gradient of the block's input; the memory's is added to d_memory. `branch` is d through the dropout of the
  /// block's last branch, as backward of the block behind returned it; undefined: not made yet. first: no block stands before.
  at::Tensor backward(at::Tensor& d, at::Tensor& d_memory, const T5Plan& plan, int64_t layer, const Saved& saved,
                      at::Tensor branch, bool first) const;
  /// forward of new decoder tokens over a cache and the memory as this layer reads it.
  nn::ResidualStream extend(nn::ResidualStream stream, const nn::CrossAttention::Memory& memory, const T5Plan& plan,
                            nn::SlotCache& cache, int64_t layer, const at::Tensor& rows,
                            const nn::NextNorm<nn::RmsNorm>& next) const;

 private:
  nn::ResidualStream behind_attention(nn::ResidualStream stream, at::Tensor attended, const nn::CrossAttention::Memory& memory,
                                      const T5Plan& plan, int64_t layer, Saved* saved,
                                      const nn::NextNorm<nn::RmsNorm>& next) const;
};

}  // namespace dept
