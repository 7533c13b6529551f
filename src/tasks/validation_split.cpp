#include "dept/tasks/validation_split.h"

#include <algorithm>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/data/splits.h"

namespace dept {

std::vector<TextExample> take_validation(std::vector<TextExample>& train, const AnswerClasses& classes,
                                         const ValidationSplit& split) {
  if (train.size() < 2) fail(Code::bad_input, "validation_split", "two training rows or more", str(train.size()));
  std::vector<int64_t> class_of_each;
  for (const TextExample& example : train) {
    const auto label = std::find(classes.labels.begin(), classes.labels.end(), example.target);
    class_of_each.push_back(classes.numeric ? 0 : label - classes.labels.begin());  // what is no label is a class of its own
  }
  std::vector<TextExample> validation, rest;
  const std::vector<size_t> chosen = choose_share(class_of_each, split.share, static_cast<uint64_t>(split.seed));
  for (size_t row = 0, next = 0; row < train.size(); ++row) {
    const bool taken = next < chosen.size() && chosen[next] == row;
    next += taken;
    (taken ? validation : rest).push_back(std::move(train[row]));
  }
  train = std::move(rest);
  return validation;
}

}  // namespace dept
