// One block of BART's encoder or decoder: branches, each with its dropout and a norm behind it.
#pragma once

#include <optional>

#include "dept/nn/modules.h"
#include "models/common.h"

namespace dept {

/// What every block of a stack needs to know of a batch.
struct BartPlan {
  nn::AttentionPlan self, cross;  ///< dropout is set for each layer
  ModelContext context;
  Call call;  ///< dropout is drawn again in backward
  Ragged tokens;
  double dropout = 0, attention_dropout = 0, inner_dropout = 0;
  int64_t first_layer = 0;  ///< in dropout keys

  kernels::Dropout drop(double p, int64_t layer, Site site) const {
    return kernels::Dropout(call, tokens, p, first_layer + layer, site);
  }
  kernels::Dropout output(int64_t layer, Site site) const { return drop(dropout, layer, site); }
  kernels::Dropout inner(int64_t layer) const { return drop(inner_dropout, layer, Site::feed_forward_inner); }
  nn::AttentionPlan self_of(int64_t layer) const;
  nn::AttentionPlan cross_of(int64_t layer) const;
};

struct BartBlock {
  nn::SelfAttention attention;
  nn::LayerNorm attention_norm;
  std::optional<nn::CrossAttention> cross;  ///< decoder only
  nn::LayerNorm cross_norm;                 ///< decoder only
  nn::FeedForward feed_forward;
  nn::LayerNorm feed_forward_norm;

  struct Saved {
    nn::SelfAttention::Saved attention;
    nn::CrossAttention::Saved cross;
    nn::FeedForward::Saved feed_forward;
    nn::LayerNorm::Saved attention_norm, cross_norm, feed_forward_norm;
    int64_t bytes() const;
  };

  /// h residual [N, D] -> [N, D]; `memory` is the encoder's output (decoder only).
  at::Tensor forward(const at::Tensor& h, const nn::CrossAttention::Memory& memory, const BartPlan& plan, int64_t layer,
                     Saved* saved) const;
  /// d residual [N, D], of the block's output -> that of its input; the memory's is added to d_memory.
  at::Tensor backward(const at::Tensor& d, at::Tensor& d_memory, const BartPlan& plan, int64_t layer, const Saved& saved) const;
  /// forward of new decoder tokens over a cache and the memory as this layer reads it.
  at::Tensor extend(const at::Tensor& h, const nn::CrossAttention::Memory& memory, const BartPlan& plan, nn::SlotCache& cache,
                    int64_t layer, const at::Tensor& rows) const;

 private:
  at::Tensor behind_attention(const at::Tensor& h, at::Tensor attended, const nn::CrossAttention::Memory& memory,
                              const BartPlan& plan, int64_t layer, Saved* saved) const;
};

}  // namespace dept
