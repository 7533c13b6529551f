#include "dept/tasks/caption_metrics.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>
#include <unordered_map>

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {
namespace {

constexpr size_t longest_gram = 4;

/// Up to four words by their numbers; the places that a shorter one does not have are -1.
using Gram = std::array<int32_t, longest_gram>;

size_t size_of(const Gram& gram) {
  return static_cast<size_t>(std::find(gram.begin(), gram.end(), -1) - gram.begin());
}

struct GramHash {
  size_t operator()(const Gram& gram) const {
    uint64_t hash = 0xCBF29CE484222325;
    for (const int32_t word : gram) hash = (hash ^ static_cast<uint32_t>(word)) * 0x9E3779B97F4A7C15;
    return static_cast<size_t>(hash ^ hash >> 32);
  }
};

using GramCounts = std::map<Gram, double>;

/// Gives words numbers and counts their n-grams.
class GramCounter {
 public:
  GramCounts operator()(const CaptionWords& words) {
    std::vector<int32_t> numbers;
    for (const std::string& word : words)
      numbers.push_back(numbers_.try_emplace(word, static_cast<int32_t>(numbers_.size())).first->second);
    GramCounts counts;
    for (size_t begin = 0; begin < numbers.size(); ++begin) {
      Gram gram{-1, -1, -1, -1};
      for (size_t i = 0; i < longest_gram && begin + i < numbers.size(); ++i) {
        gram[i] = numbers[begin + i];
        ++counts[gram];
      }
    }
    return counts;
  }

 private:
  std::unordered_map<std::string, int32_t> numbers_;
};

void check_pairs(const CaptionPairs& pairs, std::string_view where) {
  if (pairs.candidates.empty()) fail(Code::bad_input, where, "captions to judge", "none");
  if (pairs.candidates.size() != pairs.references.size())
    fail(Code::bug, where, str(pairs.candidates.size(), " sets of references"), str(pairs.references.size()));
  for (size_t i = 0; i < pairs.references.size(); ++i)
    if (pairs.references[i].empty()) fail(Code::bad_input, where, str("references of caption ", i + 1), "none");
}

/// The tf-idf weights of a caption's n-grams, and their norms by n.
struct WeighedCaption {
  GramCounts weights;
  std::array<double, longest_gram> norm{};
  double pairs_of_words = 0;  // what COCO's evaluation takes for the length
};

/// How rare n-grams are among the references: of each the logarithm of the number of images whose references have it.
class GramFrequencies {
 public:
  explicit GramFrequencies(const std::vector<std::vector<GramCounts>>& references)
      : log_images_(std::log(static_cast<double>(references.size()))) {
    for (const std::vector<GramCounts>& of_image : references) {
      std::set<Gram> seen;
      for (const GramCounts& counts : of_image)
        for (const auto& [gram, count] : counts)
          if (seen.insert(gram).second) ++images_[gram];
    }
  }

  WeighedCaption weigh(const GramCounts& counts) const {
    WeighedCaption made;
    for (const auto& [gram, count] : counts) {
      const auto known = images_.find(gram);
      const double weight = count * (log_images_ - (known == images_.end() ? 0 : std::log(known->second)));
      const size_t n = size_of(gram);
      made.weights.emplace_hint(made.weights.end(), gram, weight);
      made.norm[n - 1] += weight * weight;
      if (n == 2) made.pairs_of_words += count;
    }
    for (double& norm : made.norm) norm = std::sqrt(norm);
    return made;
  }

 private:
  double log_images_;
  std::unordered_map<Gram, double, GramHash> images_;
};

// The mean over n of the clipped cosines, times the gaussian.
double cider_similarity(const WeighedCaption& candidate, const WeighedCaption& reference) {
  constexpr double sigma = 6;
  std::array<double, longest_gram> products{};
  for (const auto& [gram, weight] : candidate.weights)
    if (const auto other = reference.weights.find(gram); other != reference.weights.end())
      products[size_of(gram) - 1] += std::min(weight, other->second) * other->second;
  double sum = 0;
  for (size_t n = 0; n < longest_gram; ++n) {
    const double norms = candidate.norm[n] * reference.norm[n];
    sum += norms == 0 ? products[n] : products[n] / norms;
  }
  const double longer = candidate.pairs_of_words - reference.pairs_of_words;
  return sum / longest_gram * std::exp(-longer * longer / (2 * sigma * sigma));
}

/// What BLEU counts, over all candidates.
struct BleuCounts {
  std::array<double, longest_gram> correct{}, guessed{};
  double length = 0, reference_length = 0;

  void add(const CaptionWords& candidate, const std::vector<CaptionWords>& references, GramCounter& counter) {
    GramCounts most;
    size_t nearest = references.front().size();
    const auto distance = [&](size_t size) {
      return std::pair(size > candidate.size() ? size - candidate.size() : candidate.size() - size, size);
    };
    for (const CaptionWords& reference : references) {
      nearest = std::min(nearest, reference.size(), [&](size_t a, size_t b) { return distance(a) < distance(b); });
      for (const auto& [gram, count] : counter(reference)) most[gram] = std::max(most[gram], count);
    }
    for (const auto& [gram, count] : counter(candidate))
      if (const auto known = most.find(gram); known != most.end()) correct[size_of(gram) - 1] += std::min(count, known->second);
    for (size_t n = 0; n < longest_gram; ++n) guessed[n] += candidate.size() > n ? static_cast<double>(candidate.size() - n) : 0;
    length += static_cast<double>(candidate.size());
    reference_length += static_cast<double>(nearest);
  }
};

struct SplitCaptions {
  std::vector<CaptionWords> candidates;
  std::vector<std::vector<CaptionWords>> references;

  SplitCaptions(std::span<const std::string> candidate_texts, std::span<const std::vector<std::string>> reference_texts) {
    for (const std::string& text : candidate_texts) candidates.push_back(caption_words(text));
    for (const std::vector<std::string>& texts : reference_texts) {
      references.emplace_back();
      for (const std::string& text : texts) references.back().push_back(caption_words(text));
    }
  }
  CaptionPairs pairs() const { return {candidates, references}; }
};

constexpr double cider_scale = 10, as_per_cent = 100;

}  // namespace

std::vector<double> cider_d(const CaptionPairs& pairs) {
  check_pairs(pairs, "cider");
  GramCounter counter;
  std::vector<std::vector<GramCounts>> references;
  for (const std::vector<CaptionWords>& of_image : pairs.references) {
    references.emplace_back();
    for (const CaptionWords& words : of_image) references.back().push_back(counter(words));
  }
  const GramFrequencies frequencies(references);
  std::vector<double> scores;
  for (size_t i = 0; i < pairs.candidates.size(); ++i) {
    const WeighedCaption candidate = frequencies.weigh(counter(pairs.candidates[i]));
    double sum = 0;
    for (const GramCounts& reference : references[i]) sum += cider_similarity(candidate, frequencies.weigh(reference));
    scores.push_back(cider_scale * sum / static_cast<double>(references[i].size()));
  }
  return scores;
}

std::array<double, 4> bleu(const CaptionPairs& pairs) {
  constexpr double small = 1e-9, tiny = 1e-15;  // COCO's, in place of zeros
  check_pairs(pairs, "bleu");
  GramCounter counter;
  BleuCounts counts;
  for (size_t i = 0; i < pairs.candidates.size(); ++i) counts.add(pairs.candidates[i], pairs.references[i], counter);
  const double ratio = (counts.length + tiny) / (counts.reference_length + small);
  const double penalty = ratio < 1 ? std::exp(1 - 1 / ratio) : 1;
  std::array<double, longest_gram> scores;
  double product = 1;
  for (size_t n = 0; n < longest_gram; ++n) {
    product *= (counts.correct[n] + tiny) / (counts.guessed[n] + small);
    scores[n] = penalty * std::pow(product, 1 / static_cast<double>(n + 1));
  }
  return scores;
}

double cider_of_captions(std::span<const std::string> candidates, std::span<const std::vector<std::string>> references) {
  const SplitCaptions split(candidates, references);
  const std::vector<double> scores = cider_d(split.pairs());
  return as_per_cent * std::accumulate(scores.begin(), scores.end(), 0.0) / static_cast<double>(scores.size());
}

double bleu_4_of_captions(std::span<const std::string> candidates, std::span<const std::vector<std::string>> references) {
  const SplitCaptions split(candidates, references);
  return as_per_cent * bleu(split.pairs())[3];
}

}  // namespace dept
