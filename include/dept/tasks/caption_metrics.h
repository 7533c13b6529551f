// How near captions are to those that people wrote: CIDEr-D and BLEU.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dept {

using CaptionWords = std::vector<std::string>;

/// A caption's words as the metrics count them, after the rules of the Penn Treebank's tokenizer for plain English: lower case,
/// clitics by themselves (do n't, it 's), punctuation by itself and then removed (docs/vision.md says where it differs from the
/// Java program that COCO's evaluation runs).
CaptionWords caption_words(std::string_view caption);

/// One caption against several that people wrote of the same image.
struct CaptionPairs {
  std::span<const CaptionWords> candidates;
  std::span<const std::vector<CaptionWords>> references;  ///< of each candidate, at least one
};

/// CIDEr-D (Vedantam et al. 2015, with the numbers of COCO's evaluation: n-grams of 1 to 4 words, tf-idf over the references
/// given here, counts clipped, a gaussian of sigma 6 on the difference of lengths, times 10), one score a candidate; the metric
/// is their mean. Throws bad_input for no candidates or one without references, bug for unequal counts.
std::vector<double> cider_d(const CaptionPairs& pairs);

/// BLEU of 1- to n-grams for n = 1 to 4 over all candidates together, 0 to 1, each with the brevity penalty against the reference
/// nearest in length (the shorter of two as near); without smoothing but for 1e-15, as COCO's evaluation. Throws as cider_d does.
std::array<double, 4> bleu(const CaptionPairs& pairs);

/// The means over captions as they are written: CIDEr-D and BLEU-4, both times 100, as papers report them. Throws as cider_d
/// does.
double cider_of_captions(std::span<const std::string> candidates, std::span<const std::vector<std::string>> references);
double bleu_4_of_captions(std::span<const std::string> candidates, std::span<const std::vector<std::string>> references);

}  // namespace dept
