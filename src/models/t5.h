// T5 (Raffel et al. 2020): encoder and decoder with relative position bias, RMSNorm, no attention scale. Version 1.0 has a ReLU
// feed-forward and a tied head; 1.1, Flan and mT5 gated GELU (Shazeer 2020) and a head of their own. UMT5 (Chung et al., arXiv
// 2304.09151) has a table of biases in each layer.
#pragma once

#include <memory>

#include "dept/kernels/activation.h"
#include "models/unread.h"

namespace dept {

/// A table that no layer of cross-attention uses, and heads of other tasks.
inline constexpr auto t5_unread = joined({"decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",
                                          "transformer.decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"},
                                         linear_heads, sequence_heads);

struct T5Config {
  int64_t hidden, head_dim, intermediate, encoder_layers, decoder_layers, heads, vocab, buckets, max_distance;
  double dropout, eps;
  kernels::Activation activation;
  bool gated;
  bool tied;  ///< as the file says; a head in the weights' file counts more
  bool bias_in_each_layer;
  bool scaled_output;  ///< the decoder's output is multiplied with hidden^-0.5 before the head
};

/// Throws bad_input for a missing, impossible or not supported field.
T5Config read_t5_config(const Json& config, const std::string& where);
ModelInfo t5_info(const Json& config, const std::string& where);

std::unique_ptr<Backbone> make_t5(const ModelFiles& files, const ModelContext& context);

/// Bucket of the relative position key - query, as transformers computes it (its logarithm in fp32).
int64_t t5_bucket(int64_t relative, bool bidirectional, int64_t buckets, int64_t max_distance);

}  // namespace dept
