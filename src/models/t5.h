// T5 v1.0 (Raffel et al. 2020): encoder and decoder with relative position bias, RMSNorm, ReLU feed-forward, no attention scale.
#pragma once

#include <memory>

#include "models/model_files.h"

namespace dept {

struct T5Config {
  int64_t hidden, head_dim, intermediate, encoder_layers, decoder_layers, heads, vocab, buckets, max_distance;
  double dropout, eps;
  bool scaled_output;  ///< the decoder's output is multiplied with hidden^-0.5 before the head
};

/// Throws bad_input for a missing, impossible or not yet supported field.
T5Config read_t5_config(const Json& config, const std::string& where);
ModelInfo t5_info(const Json& config, const std::string& where);

std::unique_ptr<Backbone> make_t5(const ModelFiles& files, const Context& ctx);

/// Bucket of the relative position key - query, as transformers computes it (its logarithm in fp32).
int64_t t5_bucket(int64_t relative, bool bidirectional, int64_t buckets, int64_t max_distance);

}  // namespace dept
