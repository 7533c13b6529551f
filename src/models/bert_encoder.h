// Encoders of BERT's kind (Devlin et al. 2019): positions learned, each sub-layer followed by its LayerNorm, attention both ways.
// A family's file reads its configuration and names its weights; the rest is here.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dept/models/model_files.h"
#include "dept/nn/modules.h"

namespace dept {

struct BertConfig {
  int64_t hidden, intermediate, layers, heads, vocab;
  int64_t positions;  ///< rows of the position table
  int64_t types;      ///< rows of the token type table, of which the first is used; 0: there is none
  double eps, hidden_dropout, attention_dropout;
  kernels::Activation activation;
};

/// What the families share; MPNet has no token types. Throws bad_input for a missing, impossible or not supported field.
BertConfig read_bert_config(const Json& config, const std::string& where);
/// A model's hidden sizes, dropout and so on; parameters, head and max_positions are the family's.
ModelInfo encoder_info(const BertConfig& c, const Json& config, const std::string& where);
/// Weights and biases of one block.
int64_t block_parameters(const BertConfig& c);

/// h = norm(h + dropout(attention(h))); h = norm(h + dropout(feed_forward(h)))
struct BertBlock {
  nn::SelfAttention attention;
  nn::LayerNorm attention_norm;
  nn::FeedForward feed_forward;
  nn::LayerNorm feed_forward_norm;
  double attention_dropout = 0, attention_output_dropout = 0, feed_forward_output_dropout = 0;
};

/// Reads the weights of an encoder, whose names may or may not begin with the family's prefix.
class EncoderLoader {
 public:
  EncoderLoader(const ModelFiles& files, const ModelContext& context, const std::string& prefix, const BertConfig& config);

  bool has(const std::string& name) const;
  /// As residual type: norms and tables that are added to the stream.
  at::Tensor table(const std::string& name, at::IntArrayRef shape) const;
  /// Word embeddings [V, width] in the compute type.
  kernels::FrozenMatrix words(const std::string& name, int64_t width) const;
  /// NAME.weight and NAME.bias, by their old names NAME.gamma and NAME.beta where the file has those.
  nn::LayerNorm norm(const std::string& name, int64_t width) const;
  /// The rows of NAME.weight and NAME.bias of each part, stacked.
  kernels::FrozenLinear linear(std::vector<nn::LinearSpec::Part> parts, int64_t in) const;
  /// A block from the names of its linears and norms.
  struct BlockNames {
    std::string query, key, value, attention_out, attention_norm, inner, outer, feed_forward_norm;
  };
  BertBlock block(const BlockNames& names) const;

  const BertConfig& config() const { return config_; }

 private:
  const ModelFiles& files_;
  const BertConfig& config_;
  std::string prefix_;
  at::ScalarType dtype_, residual_;
};

/// The parts of an encoder; blocks that share their weights are copies that share their memory.
struct EncoderParts {
  ModelInfo info;
  nn::Embedding words;
  at::Tensor positions;  ///< [P, E] residual type: the position's embedding plus the embedding of token type 0
  int64_t first_position = 0;
  nn::LayerNorm embedding_norm;
  double embedding_dropout = 0;
  at::Tensor bias;            ///< [H, buckets] residual type: T5's relative bias, the same in all layers (MPNet); undefined: none
  int64_t bias_distance = 0;  ///< from which on all keys are in the last bucket
  std::optional<kernels::FrozenLinear> mapping;  ///< [D, E]: embeddings to hidden states
  std::vector<BertBlock> blocks;
  std::optional<kernels::FrozenLinear> pooler;  ///< [D, D]
};

/// Words, positions, token type and norm, all of this width.
void load_embeddings(const EncoderLoader& loader, int64_t width, EncoderParts& parts);

std::unique_ptr<Backbone> make_encoder(EncoderParts parts, const ModelContext& context);

}  // namespace dept
