// Nothing of a model's file is ignored in silence: a tensor is read, is known to be of no use here, or ends the run.
#pragma once

#include <span>
#include <string_view>

#include "dept/models/model_files.h"

namespace dept {

/// Names of tensors: # is a number, * at the end whatever follows.
using NamePatterns = std::span<const std::string_view>;

bool matches(std::string_view name, std::string_view pattern);

/// Throws bad_input for the first tensor of the weights that the loader has not given out and that is not `rightly` unread: a
/// buffer that is computed here, the head of another task.
void refuse_unread(const ModelFiles& files, NamePatterns rightly);

}  // namespace dept
