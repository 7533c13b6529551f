// What stands between the model's logits and the choice of the next token: transformers' processors and warpers, in its order.
#pragma once

#include <span>
#include <vector>

#include "dept/models/generation.h"

namespace dept {

/// Whether process_scores would change anything in a row with `new_tokens` new tokens.
bool has_processors(const GenerationOptions& options, int64_t new_tokens);

/// Repetition penalty, n-gram bans, the least number of new tokens and forced tokens, on the scores [V] of one row. `history`
/// holds the ids that count, in order; what is forbidden becomes -inf.
void process_scores(std::span<float> scores, std::span<const int64_t> history, int64_t new_tokens,
                    const GenerationOptions& options);

/// Temperature, top k and top p, for drawing. At least `least` ids stay possible.
void warp_scores(std::span<float> scores, const GenerationOptions& options, int64_t least);

/// The index at which the cumulated softmax of `scores` passes `uniform` from [0, 1). Throws bad_input when all are -inf.
int64_t draw(std::span<const float> scores, double uniform);

/// Random numbers of one example's choice at one step: number `block` is four of them.
struct DrawKey {
  uint64_t seed;
  int64_t example, choice, step;

  double uniform() const;                      ///< [0, 1), 53 bits
  std::vector<float> gumbel(int64_t n) const;  ///< -log(-log(u)), n of them
};

}  // namespace dept
