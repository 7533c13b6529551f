// Validation rows taken out of the training rows, for data without a validation part.
#pragma once

#include <cstdint>
#include <vector>

#include "dept/tasks/k_shot.h"
#include "dept/tasks/task.h"

namespace dept {

struct ValidationSplit {
  double share = 0;  ///< of the rows, between 0 and 1
  int64_t seed = 42;
};

/// Takes the share out of `train` and returns it, the rows in the order that they had, by choose_share.
/// Throws bad_input for fewer than two rows.
std::vector<TextExample> take_validation(std::vector<TextExample>& train, const AnswerClasses& classes,
                                         const ValidationSplit& split);

}  // namespace dept
