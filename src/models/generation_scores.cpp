#include "models/generation_scores.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <set>

#include "dept/base/error.h"
#include "dept/base/philox.h"

namespace dept {
namespace {

constexpr float never = -std::numeric_limits<float>::infinity();

// score / penalty above zero, score * penalty below, once for each id in `history`.
void penalise_repetition(std::span<float> scores, std::span<const int64_t> history, float penalty) {
  for (const int64_t id : std::set<int64_t>(history.begin(), history.end()))
    scores[id] = scores[id] < 0 ? scores[id] * penalty : scores[id] / penalty;
}

// Forbids every id that would end an n-gram which `history` holds already.
void ban_ngrams(std::span<float> scores, std::span<const int64_t> history, int64_t n) {
  if (static_cast<int64_t>(history.size()) + 1 < n) return;
  const auto tail = history.end() - (n - 1);
  for (auto begin = history.begin(); begin + (n - 1) != history.end(); ++begin)
    if (std::equal(tail, history.end(), begin)) scores[*(begin + (n - 1))] = never;
}

// Keeps the k best and their equals.
void keep_top_k(std::span<float> scores, int64_t k) {
  if (k >= static_cast<int64_t>(scores.size())) return;
  std::vector<float> sorted(scores.begin(), scores.end());
  std::nth_element(sorted.begin(), sorted.begin() + (k - 1), sorted.end(), std::greater<>());
  for (float& score : scores)
    if (score < sorted[k - 1]) score = never;
}

// Drops the least likely that together have at most the probability 1 - p.
void keep_top_p(std::span<float> scores, double p, int64_t least) {
  std::vector<size_t> order;
  for (size_t i = 0; i < scores.size(); ++i)
    if (scores[i] != never) order.push_back(i);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] < scores[b]; });
  if (order.empty()) return;
  const float top = scores[order.back()];
  float sum = 0, cumulated = 0;
  for (const size_t i : order) sum += std::exp(scores[i] - top);
  const size_t droppable = order.size() - std::min<size_t>(order.size(), least);
  for (size_t i = 0; i < droppable; ++i) {
    cumulated += std::exp(scores[order[i]] - top) / sum;
    if (cumulated > static_cast<float>(1 - p)) break;
    scores[order[i]] = never;
  }
}

// The ids of which one has to come next; empty where any may. The end outweighs the beginning.
std::vector<int64_t> forced_ids(const GenerationOptions& options, int64_t new_tokens) {
  if (!options.forced_eos_ids.empty() && new_tokens + 1 == options.max_new_tokens) return options.forced_eos_ids;
  if (options.forced_bos_id && new_tokens == 0) return {*options.forced_bos_id};
  return {};
}

}  // namespace

bool has_processors(const GenerationOptions& options, int64_t new_tokens) {
  return options.repetition_penalty != 1.0 || options.no_repeat_ngram_size > 0 || new_tokens < options.min_new_tokens ||
         !forced_ids(options, new_tokens).empty();
}

void process_scores(std::span<float> scores, std::span<const int64_t> history, int64_t new_tokens,
                    const GenerationOptions& options) {
  if (options.repetition_penalty != 1.0) penalise_repetition(scores, history, static_cast<float>(options.repetition_penalty));
  if (options.no_repeat_ngram_size > 0) ban_ngrams(scores, history, options.no_repeat_ngram_size);
  if (new_tokens < options.min_new_tokens)
    for (const int64_t id : options.eos_ids) scores[id] = never;
  const std::vector<int64_t> forced = forced_ids(options, new_tokens);
  if (forced.empty()) return;
  std::fill(scores.begin(), scores.end(), never);
  for (const int64_t id : forced) scores[id] = 0;
}

void warp_scores(std::span<float> scores, const GenerationOptions& options, int64_t least) {
  const auto temperature = static_cast<float>(options.temperature);
  for (float& score : scores) score = std::isnan(score) ? never : score / temperature;
  if (options.top_k > 0) keep_top_k(scores, std::max(options.top_k, least));
  if (options.top_p < 1.0) keep_top_p(scores, options.top_p, least);
}

int64_t draw(std::span<const float> scores, double uniform) {
  const float top = *std::max_element(scores.begin(), scores.end());
  if (!(top > never)) fail(Code::bad_input, "sampling", "a token that may come next", "none");
  double sum = 0, cumulated = 0;
  for (const float score : scores) sum += std::exp(static_cast<double>(score) - top);
  int64_t last = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    const double share = std::exp(static_cast<double>(scores[i]) - top);
    if (share > 0) last = static_cast<int64_t>(i);
    if ((cumulated += share) > uniform * sum) break;
  }
  return last;
}

double DrawKey::uniform() const {
  const Philox4 bits =
      philox({0, static_cast<uint32_t>(step), static_cast<uint32_t>(example), static_cast<uint32_t>(choice)}, seed);
  return std::ldexp(static_cast<double>(uint64_t{bits[0]} << 21 ^ bits[1] >> 11), -53);
}

std::vector<float> DrawKey::gumbel(int64_t n) const {
  std::vector<float> out(n);
  for (int64_t i = 0; i < n; ++i) {
    const Philox4 bits = philox({static_cast<uint32_t>(i / 4), static_cast<uint32_t>(step), static_cast<uint32_t>(example),
                                 static_cast<uint32_t>(choice) | uint32_t{1} << 31},
                                seed);
    out[i] = static_cast<float>(-std::log(-std::log(std::ldexp(bits[i % 4] + 0.5, -32))));
  }
  return out;
}

}  // namespace dept
