// Few-shot training data: k examples drawn from all, the same number of each class.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dept/tasks/task.h"

namespace dept {

struct KShot {
  int64_t k = 0;
  int64_t seed = 42;
  bool odd_last = false;  ///< as the original has it: the last one may be of any class
};

/// What the classes of an answer are: its label, or of numbers the two sides of 2.5.
struct AnswerClasses {
  std::vector<std::string> labels;  ///< as targets have them
  bool numeric = false;
  int64_t count() const { return numeric ? 2 : static_cast<int64_t>(labels.size()); }
};

/// Throws usage unless `task` (named in the message) has classes and k is enough for one of each.
void check_k_shot(int64_t k, const AnswerClasses& classes, std::string_view task);

/// In the order of numpy.random.default_rng(seed).permutation. Warns when a class has too few.
/// Throws bad_input for an answer that should be a number and is none.
std::vector<TextExample> draw_k_shot(const std::vector<TextExample>& all, const AnswerClasses& classes, const KShot& draw);

}  // namespace dept
