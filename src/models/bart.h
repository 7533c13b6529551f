// BART (Lewis et al., arXiv 1910.13461): encoder and decoder with learned positions from 2 and norms behind each branch.
#pragma once

#include <memory>
#include <string>

#include "dept/kernels/activation.h"
#include "models/unread.h"

namespace dept {

/// Fields that other families refuse.
inline constexpr std::string_view bart_computed[] = {"activation_dropout", "scale_embedding"};

/// Heads of other tasks.
inline constexpr auto bart_unread = joined({"qa_outputs.weight", "qa_outputs.bias"}, sequence_heads);

struct BartConfig {
  struct Stack {
    int64_t layers, heads, intermediate;
  };
  Stack encoder, decoder;
  int64_t hidden, vocab, positions;
  double embedding_scale, dropout, attention_dropout, inner_dropout;
  kernels::Activation activation;
  bool tied;  ///< as the file says; a head in the weights' file counts more
};

/// Throws bad_input for a missing, impossible or not supported field.
BartConfig read_bart_config(const Json& config, const std::string& where);
ModelInfo bart_info(const Json& config, const std::string& where);
std::unique_ptr<Backbone> make_bart(const ModelFiles& files, const ModelContext& context);

}  // namespace dept
