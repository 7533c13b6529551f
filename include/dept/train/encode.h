// From text to ids, as each family of models takes it.
#pragma once

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dept/data/batch.h"
#include "dept/data/quirks.h"
#include "dept/models/backbone.h"
#include "dept/tasks/task.h"
#include "dept/text/chat.h"
#include "dept/text/tokenizer.h"
#include "dept/train/visual_input.h"

namespace dept {

struct EncodeRules {
  Architecture architecture = Architecture::decoder;
  bool head = false;                     ///< a classification head evaluates the source
  std::vector<std::string> label_words;  ///< with a head: the targets, in the order of its logits; empty: targets are numbers
  int64_t max_source = 256;              ///< longest source in tokens, suffix and special tokens included
  int64_t max_target = 0;                ///< encoder-decoder: longest target in tokens, 0 no limit
  int64_t vocab = 0;                     ///< ids that the model has embeddings of; 0: ids are not looked at
  std::string causal_suffix;             ///< decoder-only: stands between source and target
  std::shared_ptr<const ChatForm> chat;  ///< decoder-only: how conversations are written; null where rows are texts
  bool truncate_head = false;            ///< decoder-only: too long sources lose their head instead of their tail
  bool bare_targets = false;             ///< decoder-only: targets without the tokenizer's special tokens
  std::optional<int64_t> end_id;         ///< decoder-only: ends every target (the pad token, else eos)
  int64_t decoder_start_id = 0;          ///< encoder-decoder
  DeltaAlignment alignment = DeltaAlignment::end;  ///< decoder-only
  Quirks quirks;
  std::optional<int64_t> room;                ///< tokens that the model's positions leave to source and answer; absent: no limit
  int64_t answer = 0;                         ///< of them kept free for an answer
  bool truncate = false;                      ///< a source without room is cut; else it is refused
  std::shared_ptr<const VisualInput> visual;  ///< every source has an image; null: none has

  /// Where a source is cut.
  int64_t longest_source() const {
    return truncate && room ? std::max<int64_t>(1, std::min(max_source, *room - answer)) : max_source;
  }
  bool encoder_decoder() const { return architecture == Architecture::encoder_decoder; }
};

/// How many texts lost a part to a limit.
struct Cuts {
  int64_t sources = 0, targets = 0;
};

/// Encoders: the source with the tokenizer's special tokens, cut to max_source. Encoder-decoder: the target too, cut to
/// max_target. Decoder-only (arXiv 2309.05173's code): ids(source + suffix), ids(target) + end. Of a source that is too long the
/// text is cut, never the suffix or the target; under the original's quirks what is behind max_source, the suffix too. In a chat
/// form (a text is what a user says) the target ends with the form's mark, and of a conversation that is too long the oldest
/// turns are left out, never a system message or the last turn. With a head a target becomes the example's value (an empty one 0)
/// and no ids. Examples keep their index and order. `cuts` counts what is cut. Throws bad_input that names file, line and column
/// for invalid UTF-8, a suffix longer than max_source, a source that leaves its answer no room, a source without any token, an id
/// that the model does not have, or a value that is none; as VisualInput::name_of for a row's image.
std::vector<Example> encode_examples(const Tokenizer& tokenizer, const EncodeRules& rules, std::span<const TextExample> texts,
                                     int threads, Cuts* cuts = nullptr);

/// Throws bad_input naming `where`, the token and its id when there is an id that the model does not have.
void check_ids(const Tokenizer& tokenizer, std::span<const int64_t> ids, int64_t vocab, const std::string& where);

/// Ids of one answer, as encode_examples makes targets.
std::vector<Ids> encode_targets(const Tokenizer& tokenizer, const EncodeRules& rules, std::span<const std::string> targets,
                                int threads);

/// What a batch is for. Only the original's quirks tell training and evaluation apart, in decoder-only models.
enum class Purpose {
  training,
  evaluating,  ///< the loss on validation or test data
  answering,   ///< what follows the source, or the shared prompt where that is empty
};

/// The examples with the targets that a training step draws by their scores, from (seed, micro-step, example); without several
/// targets to draw from they are given back as they are. `drawn` keeps what is drawn.
std::span<const Example> draw_targets(std::span<const Example> examples, uint64_t seed, uint32_t micro_step,
                                      std::vector<Example>& drawn);

/// The batch of encoded examples by family, with what their images show. K stacked adapters (`configs`) have an equal run of the
/// examples each; throws bug where they cannot be divided so.
Batch collate(const EncodeRules& rules, std::span<const Example> examples, Purpose purpose = Purpose::training,
              int64_t configs = 1);

}  // namespace dept
