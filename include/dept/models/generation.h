// Generation: new tokens one by one from a backbone's key-value cache, with the names and the results of transformers.
#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "dept/base/file.h"
#include "dept/generation.h"
#include "dept/models/backbone.h"

namespace dept {

/// What a person asks for; the rest is the model's to say.
struct AskedGeneration {
  std::optional<int64_t> max_new_tokens, min_new_tokens, no_repeat_ngram_size, num_beams, num_return_sequences, top_k;
  std::optional<double> repetition_penalty, length_penalty, temperature, top_p;
  std::optional<bool> do_sample;
  std::optional<EarlyStopping> early_stopping;
  std::vector<int64_t> eos_ids;  ///< empty means the model's own
};

/// What is asked for, else what generation_config.json in the model's folder says of it (of an encoder-decoder model also
/// max_length and min_length, which count the start token), else transformers' default. Without that file the same keys of
/// config.json count. A value that takes no part (temperature where nothing is drawn) is not looked at. Keys that would change
/// the result and that are not known here are named in one warning line. Throws bad_input naming the file for its values, usage
/// for those that are asked for.
GenerationOptions generation_options(const fs::path& model, const ModelInfo& info, const AskedGeneration& asked);

/// Evaluations write the likeliest answer, whatever the model's folder says of generation: names in one warning line what there
/// would change it. Throws io or bad_input.
void warn_of_unused_generation(const fs::path& model);

struct GenerationInput {
  /// What forward would get: decoder-only, prompt and text embedded, sequences of example -1 being prompts that others name as
  /// prefix and that get no answer; T5, the encoder's input, whose every sequence gets one.
  Stream source;
  /// Empty, or for each source the ids that repetition penalty and n-gram bans count besides the new ones.
  std::vector<std::vector<int64_t>> counted;
  /// T5: embeddings in front of the decoder's start token, [K, M, D] of the residual's dtype; a row takes those of its config.
  at::Tensor decoder_prompt;
};

/// Tokens of a batch, read and written, beyond which larger batches make a CPU no faster.
inline constexpr int64_t full_batch_tokens = 4096;
/// The most that a search for one source's answers writes.
inline int64_t written_tokens(const GenerationOptions& o) {
  return std::max(o.num_beams, o.num_return_sequences) * o.max_new_tokens;
}

/// "stop" or "length".
const char* finish_name(Generated::Finish finish);

/// Told all new ids of an answer to a source whenever one is added (of a beam search: of every candidate); true ends the
/// answer with Finish::stop. For stop strings and streaming.
using TokenSink = std::function<bool(size_t source, std::span<const int64_t> ids)>;

/// For each source, in order, its num_return_sequences answers, the best first. All sources run at once, a prompt once whatever
/// the number of its answers; what is finished leaves the batch. Greedy search takes the first of equals.
/// Throws usage for options out of range, bad_input for a sequence without tokens and prefix.
std::vector<std::vector<Generated>> generate(const TextModel& model, const GenerationInput& input,
                                             const GenerationOptions& options, const TokenSink& sink = {});

}  // namespace dept
