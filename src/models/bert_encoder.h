// Encoders of BERT's kind (Devlin et al. 2019): positions learned, each sub-layer followed by its LayerNorm, attention both ways.
// A family's file reads its configuration and names its weights; the rest is here.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dept/models/model_files.h"
#include "dept/nn/modules.h"
#include "models/token_convolution.h"

namespace dept {

struct BertConfig {
  int64_t hidden, intermediate, layers, heads, vocab;
  int64_t positions;  ///< rows of the position table
  int64_t types;      ///< rows of the token type table, of which the first is used; 0: there is none
  double eps, hidden_dropout, attention_dropout;
  kernels::Activation activation;
};

/// What the families share under BERT's names; MPNet has no token types, DeBERTa mostly none. Throws bad_input for a missing,
/// impossible or not supported field.
BertConfig read_bert_config(const Json& config, const std::string& where);
/// Throws bad_input for heads, whose number is the field `heads_key`, that do not divide the width, and for a decoder.
void check_encoder_config(const BertConfig& c, std::string_view heads_key, const Json& config, const std::string& where);
/// A model's hidden sizes, dropout and so on; parameters, head and max_positions are the family's.
ModelInfo encoder_info(const BertConfig& c, const Json& config, const std::string& where);
/// Weights and biases of one block.
int64_t block_parameters(const BertConfig& c);

/// Which row of a table of distances stands for each (DeBERTa): distances from -span to span - 1, of which those beyond half of
/// `buckets` share rows up to `farthest` by their logarithm.
struct DistanceRows {
  int64_t buckets = 0;   ///< 0: a row each
  int64_t farthest = 0;  ///< 0: there is no such table

  int64_t span() const { return buckets > 0 ? buckets : farthest; }
  /// int64 [2 reach + 1] on the CPU: the row at key - query + reach.
  at::Tensor rows(int64_t reach) const;
};

/// h = norm(h + dropout(attention(h))); h = norm(h + dropout(feed_forward(h)))
struct BertBlock {
  nn::SelfAttention attention;
  nn::LayerNorm attention_norm;
  nn::FeedForward feed_forward;
  nn::LayerNorm feed_forward_norm;
  at::Tensor position_keys{}, position_queries{};  ///< [H, rows, K] compute type, by DistanceRows; undefined: no such part
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
  at::Tensor
      positions;  ///< [P, E] residual type: the position's embedding plus the embedding of token type 0; undefined: neither
  int64_t first_position = 0;
  nn::LayerNorm embedding_norm;
  double embedding_dropout = 0;
  at::Tensor bias;            ///< [H, buckets] residual type: T5's relative bias, the same in all layers (MPNet); undefined: none
  int64_t bias_distance = 0;  ///< from which on all keys are in the last bucket
  DistanceRows distances;     ///< of the blocks' position_keys and position_queries
  int64_t scores = 1;         ///< how many products a score is the sum of
  std::optional<TokenConvolution> convolution;   ///< of the first block's input, beside its output
  std::optional<kernels::FrozenLinear> mapping;  ///< [D, E]: embeddings to hidden states
  std::vector<BertBlock> blocks;
  std::optional<kernels::FrozenLinear> pooler;  ///< [D, D]
};

/// Words, positions (where they are `absolute`), token type and norm, all of this width.
void load_embeddings(const EncoderLoader& loader, int64_t width, EncoderParts& parts, bool absolute = true);
/// The blocks under BERT's names.
void load_bert_blocks(const EncoderLoader& loader, EncoderParts& parts);

std::unique_ptr<Backbone> make_encoder(EncoderParts parts, const ModelContext& context);

}  // namespace dept
