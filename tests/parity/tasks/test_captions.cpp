// Captions and answers about images against COCO's scorers and VQA's formula (make/captions.py).
#include <gtest/gtest.h>

#include "dept/base/json.h"
#include "dept/tasks/caption_metrics.h"
#include "dept/tasks/vqa_metric.h"
#include "tasks/answer_text.h"

namespace dept {
namespace {

Json caption_data(const std::string& name) {
  return read_json(fs::path(DEPT_TEST_DATA) / "parity/data/tasks" / name);
}

CaptionWords words_of(const std::string& text) {
  const auto words = split_words(text);
  return {words.begin(), words.end()};
}

TEST(Captions, ScoresEqualCocosScorers) {
  const Json cases = caption_data("captions.json");
  std::vector<CaptionWords> candidates;
  std::vector<std::vector<CaptionWords>> references;
  for (const Json& text : cases.at("candidates")) candidates.push_back(words_of(text.get<std::string>()));
  for (const Json& texts : cases.at("references")) {
    references.emplace_back();
    for (const Json& text : texts) references.back().push_back(words_of(text.get<std::string>()));
  }
  ASSERT_GE(candidates.size(), 200u);
  for (const Json& golden : cases.at("golden")) {
    const auto count = golden.at("count").get<size_t>();
    const CaptionPairs pairs{std::span(candidates).first(count), std::span(references).first(count)};
    const std::vector<double> cider = cider_d(pairs);
    for (size_t i = 0; i < count; ++i) EXPECT_NEAR(cider[i], golden.at("cider")[i].get<double>(), 1e-9) << i << " of " << count;
    const std::array<double, 4> scores = bleu(pairs);
    for (size_t n = 0; n < 4; ++n) EXPECT_NEAR(scores[n], golden.at("bleu")[n].get<double>(), 1e-12) << n + 1 << " of " << count;
  }
}

TEST(Captions, WordsEqualThePennTreebankTokenizers) {
  const Json cases = caption_data("caption_words.json");
  ASSERT_GE(cases.size(), 200u);
  for (const Json& one : cases) {
    const auto caption = one.at("caption").get<std::string>();
    EXPECT_EQ(caption_words(caption), one.at("words").get<CaptionWords>()) << caption;
  }
}

TEST(VqaAccuracy, EqualsItsFormula) {
  const Json golden = caption_data("vqa.json");
  for (const auto& [answer, normal] : golden.at("normal").items())
    EXPECT_EQ(normalise_vqa_answer(answer), normal.get<std::string>()) << answer;
  ASSERT_GE(golden.at("cases").size(), 200u);
  for (const Json& one : golden.at("cases")) {
    const auto people = one.at("people").get<std::vector<std::string>>();
    EXPECT_NEAR(vqa_accuracy(one.at("answer").get<std::string>(), people), one.at("accuracy").get<double>(), 1e-12) << one;
  }
}

}  // namespace
}  // namespace dept
