#include "dept/tasks/k_shot.h"

#include <algorithm>

#include "dept/base/error.h"
#include "dept/base/log.h"
#include "dept/base/text.h"
#include "dept/data/splits.h"
#include "dept/tasks/number_text.h"

namespace dept {
namespace {

constexpr double middle = 2.5;

int64_t side_of(const TextExample& example) {
  const std::optional<double> value = number_of<double>(example.target);
  if (!value) fail(Code::bad_input, example.where_target(), "a number", quote(example.target));
  return *value <= middle ? 0 : 1;
}

// -1 is no class.
int64_t class_of(const TextExample& example, const AnswerClasses& classes) {
  if (classes.numeric) return side_of(example);
  const auto label = std::find(classes.labels.begin(), classes.labels.end(), example.target);
  return label == classes.labels.end() ? -1 : label - classes.labels.begin();
}

}  // namespace

void check_k_shot(int64_t k, const AnswerClasses& classes, std::string_view task) {
  if (classes.count() == 0) fail(Code::usage, "k_shot_examples", "a task with labels", task);
  if (k < classes.count())
    fail(Code::usage, "k_shot_examples", str("at least one for each of ", classes.count(), " classes"), str(k));
}

std::vector<TextExample> draw_k_shot(const std::vector<TextExample>& all, const AnswerClasses& classes, const KShot& draw) {
  std::vector<TextExample> shuffled, chosen;
  std::vector<int64_t> class_of_each;
  for (const int64_t i : numpy_permutation(static_cast<int64_t>(all.size()), static_cast<uint64_t>(draw.seed))) {
    shuffled.push_back(all[static_cast<size_t>(i)]);
    class_of_each.push_back(class_of(shuffled.back(), classes));
  }
  for (const size_t i : choose_k_shot(class_of_each, classes.count(), draw.k, draw.odd_last)) chosen.push_back(shuffled[i]);
  const int64_t wanted = draw.odd_last ? draw.k : draw.k / classes.count() * classes.count();
  if (static_cast<int64_t>(chosen.size()) < wanted)
    log::warn(str("k_shot_examples: the training data hold only ", chosen.size(), " of ", wanted, " examples"));
  return chosen;
}

}  // namespace dept
