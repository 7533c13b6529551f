// How the answers of all 34 tasks are read and evaluated, against the original's post-processor and metrics, and how long their
// targets may be (tests/parity/make/original_runs.py).
#include <gtest/gtest.h>

#include "dept/base/json.h"
#include "dept/tasks/description.h"
#include "dept/tasks/task.h"
#include "dept/train/task_data.h"

namespace dept {
namespace {

using Strings = std::vector<std::string>;

Strings read_answers(const Tokenizer& tokenizer, const Json& lines) {
  Strings texts;
  for (const Json& line : lines) {
    const std::string text = tokenizer.decode(line.get<Ids>());
    texts.push_back(strip_unicode(tokenizer.cleans_up ? clean_up_spaces(text) : text));
  }
  return texts;
}

class OriginalEvaluations : public ::testing::TestWithParam<const char*> {};

TEST_P(OriginalEvaluations, EqualTheOriginals) {
  const fs::path data = fs::path(DEPT_TEST_DATA) / "parity/data/original_runs";
  const Json golden = read_json(data / "judgements.json");
  const auto tokenizer = load_tokenizer(data / "models" / GetParam());
  ASSERT_EQ(golden[GetParam()].size(), 34u);
  EncodeRules rules;
  rules.architecture = Architecture::encoder_decoder;
  for (const Json& one : golden[GetParam()]) {
    SCOPED_TRACE(one["task"]);
    TaskData task;
    task.labels = task.label_words = find_task(one["task"].get<std::string>(), std::nullopt, Quirks(true)).labels;
    EXPECT_EQ(longest_target(task, EvaluationOptions(), *tokenizer, rules), one["longest_target"]);
    const Strings predictions = read_answers(*tokenizer, one["predicted_ids"]),
                  targets = read_answers(*tokenizer, one["target_ids"]);
    EXPECT_EQ(Json(predictions), one["predictions"]);
    EXPECT_EQ(Json(targets), one["targets"]);
    for (const auto& [metric, value] : one["metrics"].items())
      EXPECT_NEAR(compute_metric(metric, predictions, targets, task.labels), value.get<double>(), 1e-9) << metric;
  }
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, OriginalEvaluations, ::testing::Values("t5", "llama"));

}  // namespace
}  // namespace dept
