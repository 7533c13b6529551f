// The accuracy of VQA (Antol et al. 2015; Goyal et al. 2017): an answer against those of ten people.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace dept {

/// An answer's normal form, as VQA's evaluation has it: punctuation removed, or made a blank where none stands beside it; lower
/// case; number words as digits; articles left out; contractions with their apostrophe ("dont" becomes "don't"). The text is
/// valid UTF-8.
std::string normalise_vqa_answer(std::string_view answer);

/// The mean, over the sets that leave one person out, of min(1, equal answers in the set / 3); 0 to 1. Where there is one person
/// alone: 1 for an equal answer. Normal forms are compared, also where all people agree (docs/vision.md). Throws bad_input for no
/// people.
double vqa_accuracy(std::string_view answer, std::span<const std::string> people);

}  // namespace dept
