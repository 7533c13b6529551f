// A frozen language model as a function of its input embeddings, with the explicit backward that its inputs need.
// A backbone never hears of adapters.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dept/base/file.h"
#include "dept/base/json.h"
#include "dept/kernels/activation.h"
#include "dept/tensor/context.h"
#include "dept/tensor/ragged.h"

namespace dept {

enum class Architecture {
  decoder,          ///< GPT-2, Llama: causal, text continues
  encoder_decoder,  ///< T5: text to text
  encoder,          ///< BERT and relatives: hidden states only, for a classification head
};

/// The classification head that transformers builds on a family.
enum class HeadForm {
  none,            ///< T5
  score,           ///< GPT-2, Llama: one linear without bias
  classifier,      ///< BERT, ALBERT: one linear behind the model's own pooler
  dense,           ///< RoBERTa, ELECTRA: two linears, classifier.dense and classifier.out_proj
  pre_classifier,  ///< DistilBERT: the same, pre_classifier and classifier
  pooler,          ///< DeBERTa: the same, pooler.dense and classifier
};

/// The arithmetic of a head beside its weights.
struct HeadRules {
  double dropout = 0;                       ///< in training, in front of the last linear; none before HeadForm::score
  double input_dropout = 0;                 ///< of a head of two linears: in front of the first
  std::optional<kernels::Activation> unit;  ///< of a head of two linears: what stands between them; none: tanh
};

struct ModelInfo {
  std::string model_type;  ///< as config.json has it
  Architecture architecture = Architecture::decoder;
  int64_t hidden = 0, layers = 0, heads = 0, vocab = 0;
  int64_t embedding = 0;      ///< width of the input embeddings, 0: hidden
  int64_t max_positions = 0;  ///< 0: no limit
  double dropout = 0;
  bool rotates_by_length = false;  ///< LongRoPE: a token's keys depend on how long the whole text is, and so does a prompt
  HeadForm head = HeadForm::score;
  HeadRules head_rules;
  double initializer_range = 0.02;  ///< standard deviation of a fresh head
  int64_t parameters = 0;
  int64_t embedding_parameters = 0;  ///< of them: tables in which numbers are looked up
  bool tied = false;
  std::optional<int64_t> bos_id, pad_id;
  std::optional<int64_t> decoder_start_id;  ///< encoder-decoder: in front of the labels that a loss evaluates
  std::optional<int64_t> answer_start_id;   ///< in front of what generation writes; generation_config.json may tell them apart
  std::vector<int64_t> eos_ids;
  std::string storage;  ///< how matrices are held: "fp32", "fp16", "bf16", "gguf"

  int64_t input_width() const { return embedding > 0 ? embedding : hidden; }
  bool encoder_decoder() const { return architecture == Architecture::encoder_decoder; }
};

/// Products of fewer rows MKL takes by other kernels, which add up in another order (measured: fewer than 4 rows with AVX2, than
/// 16 with AVX-512). A run alone or a rank's part may have so few where a stack of runs or the whole batch has more. (oneDNN,
/// which has fp32 on CPUs of other makers than Intel, does so below 128: there the last bits may differ.)
inline constexpr int64_t fewest_rows = 16;

/// One ragged batch and its embeddings, fp32 (fp64 in the reference) [N, D] on the model's device.
struct Stream {
  Ragged tokens;
  at::Tensor embeds;
  /// Ascending: the tokens whose hidden states are asked for; empty: all. Those of others may be zeros, which saves most of the
  /// last block's work, and their gradients have to be.
  std::vector<int64_t> wanted{};

  /// Sets `wanted` to these tokens, in any order, and others up to fewest_rows. On a GPU all stay wanted: recorded steps
  /// (dept/models/graphed.h) have one shape of the last block.
  void want(const std::vector<int64_t>& tokens);
};

/// What forward keeps for backward; each model has its own.
class Saved {
 public:
  virtual ~Saved() = default;
  virtual int64_t bytes() const = 0;  ///< of kept activations
};

struct InputGradients {
  at::Tensor source;  ///< d loss / d source.embeds, as its dtype and shape
  at::Tensor target;  ///< T5: d loss / d target.embeds, else undefined
};

/// Keys and values of past tokens; each model has its own. Rows are addressed by slot.
class KvCache {
 public:
  virtual ~KvCache() = default;
};

/// A frozen language model. The first group of functions is every family's; those that write text are TextModels.
class Backbone {
 public:
  explicit Backbone(const ModelContext& context) : context_(context) {}
  virtual ~Backbone() = default;
  Backbone(const Backbone&) = delete;
  Backbone& operator=(const Backbone&) = delete;

  virtual const ModelInfo& info() const = 0;
  /// What it was loaded with.
  const ModelContext& context() const { return context_; }

  /// ids int64 [N] on the CPU -> word embeddings [N, D] in fp32 on the model's device. Throws bad_input for an id outside the
  /// vocabulary.
  virtual at::Tensor embed(const at::Tensor& ids) const = 0;

  /// Decoder-only: hidden states [N, D] of `source` after the final norm; `target` is null.
  /// T5: of `target` (the decoder), `source` being the encoder's input. Returned in the compute type; of tokens that are not
  /// wanted they may be zeros. `saved` null: nothing is kept.
  virtual at::Tensor forward(const Call& call, const Stream& source, const Stream* target,
                             std::unique_ptr<Saved>* saved) const = 0;

  /// d_hidden [N, D] (of what forward returned; 0 for tokens that were not wanted) -> gradients of the embeddings given to
  /// forward. Consumes `saved`.
  virtual InputGradients backward(std::unique_ptr<Saved> saved, const at::Tensor& d_hidden) const = 0;

  /// The model's pooler, between a text's hidden state and a classification head: hidden [B, D] -> [B, D] in its dtype; BERT's
  /// and ALBERT's is tanh(W x + b), ModernBERT's norm(gelu(W x)), others have none and give back hidden.
  virtual at::Tensor pool(const at::Tensor& hidden) const { return hidden; }
  /// d_pooled [B, D], with the hidden states that pool was given -> d_hidden [B, D].
  virtual at::Tensor pool_backward(const at::Tensor& d_pooled, const at::Tensor&) const { return d_pooled; }

 private:
  ModelContext context_;
};

/// A family that writes text: GPT-2, Llama, T5.
class TextModel : public Backbone {
 public:
  using Backbone::Backbone;

  /// The language-model head: hidden [n, D] -> logits [n, V], fp32 (fp64).
  virtual at::Tensor logits(const at::Tensor& hidden) const = 0;
  /// d_logits [n, V], and the logits that `logits` gave -> d_hidden [n, D].
  virtual at::Tensor logits_backward(const at::Tensor& d_logits, const at::Tensor& logits) const = 0;

  // Generation, without dropout. A cache has slots; slot state is a length and, once set, a prefix slot whose keys and values
  // stand in front.

  /// Decoder-only: an empty cache of `slots` slots, which grow as they fill. T5: encodes `source` (slot b of the cross-attention
  /// is sequence b; a slot with a prefix has its prefix's) and makes an empty decoder cache. `expected`: how many tokens will run
  /// behind each source in all, as far as is known (room is kept for them; T5 reads the encoder's output in the cheaper way for
  /// so many).
  virtual std::unique_ptr<KvCache> start(const Stream& source, int64_t slots, int64_t expected) const = 0;
  /// Runs new tokens: sequence b of `fresh` goes behind what slot slots[b] holds, causally. fresh.tokens.prefix[b] = p >= 0
  /// (first extend of a slot only) makes slots[p] the slot's prefix. Returns hidden states [N, D], as forward does. Slots left
  /// out cost nothing.
  virtual at::Tensor extend(KvCache& cache, const Stream& fresh, const std::vector<int64_t>& slots) const = 0;
  /// Tokens that slot holds, its prefix not counted.
  virtual int64_t length(const KvCache& cache, int64_t slot) const = 0;
  /// Forgets all but the first `length` tokens of a slot.
  virtual void rewind(KvCache& cache, int64_t slot, int64_t length) const = 0;
  /// Slot to[i] becomes a copy of slot from[i] (prefix and cross-attention included), as if all at once.
  virtual void copy_slots(KvCache& cache, const std::vector<int64_t>& from, const std::vector<int64_t>& to) const = 0;
};

/// The model as one that writes text. Throws usage for an encoder.
const TextModel& as_text_model(const Backbone& model);

/// Reads config.json and weights of a folder, or a .gguf file. The family is read from there, not from the path.
/// Matrices are held as context.storage says, used in context.compute. Throws io or bad_input; usage for GGUF storage of another
/// file.
std::unique_ptr<Backbone> load_backbone(const fs::path& path, const ModelContext& context);

/// The same architecture with random weights (normal, standard deviation 1/sqrt(in)), for benchmarks. `config` as in config.json.
std::unique_ptr<Backbone> random_backbone(const Json& config, const ModelContext& context, uint64_t seed);

/// Writes that architecture as a folder that load_backbone reads, in fp32. Throws io.
void save_random_model(const Json& config, const fs::path& folder, uint64_t seed);

/// What load_backbone would build, from config.json or GGUF metadata alone (cheap; no weights are touched).
ModelInfo read_model_info(const fs::path& path);

}  // namespace dept
