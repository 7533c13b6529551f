// How the next tokens are chosen from a model's logits: of one row, or of the beams of several searches side by side.
#pragma once

#include <ATen/core/Tensor.h>

#include <span>
#include <vector>

#include "models/generation_beams.h"
#include "models/generation_scores.h"

namespace dept {

/// The scores [V] of one row of scores [rows, V], contiguous on the CPU.
std::span<float> row_of(const at::Tensor& scores, int64_t row);

bool is_eos(const GenerationOptions& options, int64_t id);

/// The next id of one row, from its logits [V], which are changed: by a draw, else the first of the likeliest.
/// `history`: the ids that penalties count. `key.step`: how many new tokens the row has. Throws bad_input when none may come
/// next.
int64_t choose_token(std::span<float> scores, std::span<const int64_t> history, const GenerationOptions& options,
                     const DrawKey& key);

/// One of several searches with the same options and as many new tokens.
struct BeamSource {
  const BeamSearch* search;
  const std::vector<int64_t>* counted;  ///< ids that penalties count besides the new ones
  int64_t example;
};

/// For each search the best continuations of its running beams or, where tokens are drawn, as many drawn without replacement.
/// logits [running beams of all, V]
std::vector<std::vector<BeamSearch::Candidate>> beam_candidates(const at::Tensor& logits, std::span<const BeamSource> sources,
                                                                const GenerationOptions& options);

}  // namespace dept
