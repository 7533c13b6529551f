// Nothing of a model's file is ignored in silence: a tensor is read, is known to be of no use here, or ends the run.
#pragma once

#include <algorithm>
#include <array>
#include <span>
#include <string_view>

#include "dept/models/model_files.h"

namespace dept {

/// Names of tensors: # is a number, * at the end whatever follows.
using NamePatterns = std::span<const std::string_view>;

bool matches(std::string_view name, std::string_view pattern);

/// Lists of patterns, one behind the other.
template <size_t... sizes>
constexpr auto joined(const std::string_view (&... lists)[sizes]) {
  std::array<std::string_view, (sizes + ...)> all;
  auto to = all.begin();
  ((to = std::copy_n(lists, sizes, to)), ...);
  return all;
}

// Heads of other tasks under the names that many families have for them, the one that classifies among them: a task's own head is
// the adapter's.

/// One linear layer, and that of answers as spans.
inline constexpr std::string_view linear_heads[] = {"classifier.weight", "classifier.bias", "qa_outputs.weight",
                                                    "qa_outputs.bias"};
/// RoBERTa's of two layers.
inline constexpr std::string_view dense_heads[] = {"classifier.dense.weight", "classifier.dense.bias",
                                                   "classifier.out_proj.weight", "classifier.out_proj.bias"};
/// That of an encoder-decoder.
inline constexpr std::string_view sequence_heads[] = {"classification_head.dense.weight", "classification_head.dense.bias",
                                                      "classification_head.out_proj.weight", "classification_head.out_proj.bias"};

/// Throws bad_input for the first tensor of the weights that the loader has not given out and that is not `rightly` unread: a
/// buffer that is computed here, the head of another task.
void refuse_unread(const ModelFiles& files, NamePatterns rightly);

}  // namespace dept
