// ModernBERT (Warner et al., arXiv 2412.13663): an encoder with norms in front of its branches, rotary positions, gated units,
// and layers that see their neighbourhood among layers that see all.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "dept/kernels/activation.h"
#include "models/rope_scaling.h"
#include "models/unread.h"

namespace dept {

/// Fields that other families refuse.
inline constexpr std::string_view modernbert_computed[] = {"global_attn_every_n_layers", "layer_types", "local_attention"};

/// Heads of other tasks, the one that classifies among them, which is the adapter's; what both stand on, head.*, is read.
inline constexpr std::string_view modernbert_unread[] = {"decoder.weight", "decoder.bias", "classifier.weight",
                                                         "classifier.bias"};

struct ModernBertConfig {
  int64_t hidden, intermediate, layers, heads, vocab, positions;
  int64_t reach;  ///< so many tokens to either side are seen by a layer that slides
  double eps, embedding_dropout, attention_dropout, inner_dropout;
  kernels::Activation activation, pooler_activation;
  bool norm_bias, attention_bias, feed_forward_bias, pooler_bias;
  std::vector<bool> slides;              ///< [layers]
  RopeScaling rotation, local_rotation;  ///< of layers that see all, and of those that slide
};

/// Throws bad_input for a missing, impossible or not supported field.
ModernBertConfig read_modernbert_config(const Json& config, const std::string& where);
ModelInfo modernbert_info(const Json& config, const std::string& where);
std::unique_ptr<Backbone> make_modernbert(const ModelFiles& files, const ModelContext& context);

}  // namespace dept
