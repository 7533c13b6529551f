// How much each class counts in the loss of a classification head.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "dept/tasks/task.h"

namespace dept {

/// Whether --class_weights names a file.
bool is_weights_file(const std::string& option);

/// What --class_weights shows without data: throws io or bad_input for a file that is no JSON object of numbers.
void check_class_weights(const std::string& option);

/// fp64 [labels] for the task's labels: "balanced" gives each n / (labels x its training rows), as scikit-learn has it; a file
/// is a JSON object {label: weight}; "" is no tensor at all. Throws usage for a task without labels, bad_input for labels that
/// the training rows or the file lack, others that the file has, and weights that are negative, not finite, or all 0.
at::Tensor class_weights(const std::string& option, const TaskData& task);

}  // namespace dept
