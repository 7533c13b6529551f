// VQA's and COCO's own files as the tasks vqa and coco-caption.
#include <gmock/gmock.h>

#include "dept/tasks/named_task.h"
#include "unit/base/scratch.h"

namespace dept {
namespace test_image_rows {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Strings = std::vector<std::string>;

// An annotation of ten people's answers.
std::string annotation(int64_t id, const std::vector<std::pair<std::string, int>>& answers) {
  std::string list;
  for (const auto& [answer, people] : answers)
    for (int i = 0; i < people; ++i)
      list += str(list.empty() ? "" : ", ", R"({"answer": ")", answer, R"(", "answer_confidence": "yes"})");
  return str(R"({"question_id": )", id, R"(, "image_id": 9, "answer_type": "other", "answers": [)", list, "]}");
}

class ImageRows : public ::testing::Test {
 protected:
  NamedTaskOptions task(const std::string& name, const Strings& files) const {
    NamedTaskOptions options;
    options.task_name = name;
    options.train_file = options.validation_file = options.test_file = files;
    return options;
  }
  std::string questions() const {
    return scratch_
        .write("questions.json",
               R"({"info": {"version": "2.0"}, "task_type": "Open-Ended", "data_subtype": "val2014", "questions": [
             {"image_id": 9, "question": "What is on the mat?", "question_id": 90},
             {"image_id": 262148, "question": "How many cats?", "question_id": 91}]})")
        .string();
  }
  std::string annotations(const std::string& second) const {
    return scratch_
        .write("annotations.json", str(R"({"data_subtype": "val2014", "annotations": [)", second, ", ",
                                       annotation(90, {{"dog", 1}, {"the Cat", 5}, {"cat", 3}, {"rug", 1}}), "]}"))
        .string();
  }
  Scratch scratch_;
};

TEST_F(ImageRows, VqaReadsQuestionsAndAnnotationsInAnyOrder) {
  const std::string answers = annotations(annotation(91, {{"two", 6}, {"2", 2}, {"3", 2}})), asked = questions();
  for (const Strings& files : {Strings{asked, answers}, Strings{answers, asked}}) {
    const TaskData data = load_named_task(task("vqa", files), {SplitName::train});
    EXPECT_THAT(data.metrics, ElementsAre("vqa_accuracy"));
    EXPECT_TRUE(data.free_text());
    ASSERT_EQ(data.train.size(), 2u);
    const TextExample& first = data.train[0];
    EXPECT_EQ(first.source, "vqa: What is on the mat?");
    EXPECT_EQ(first.image, "val2014/COCO_val2014_000000000009.jpg");
    EXPECT_EQ(first.target, "cat");
    ASSERT_EQ(first.scored.size(), 3u);
    EXPECT_EQ(first.scored[0].score, 1);
    EXPECT_EQ(first.scored[1].text, "dog");
    EXPECT_EQ(first.scored[1].score, 0.3);
    EXPECT_EQ(first.answers.size(), 10u);
    EXPECT_EQ(first.answers[1], "the Cat");
    EXPECT_THAT(first.where_source(), HasSubstr("questions.json: question_id 90: question"));
    const TextExample& second = data.train[1];
    EXPECT_EQ(second.image, "val2014/COCO_val2014_000000262148.jpg");
    EXPECT_EQ(second.target, "2");
    EXPECT_EQ(second.scored[1].score, 0.6);
  }
}

TEST_F(ImageRows, VqaSaysWhatIsMissing) {
  const std::string asked = questions(), answers = annotations(annotation(7, {{"no", 10}}));
  const auto error = [&](const Strings& files) {
    return error_of(Code::bad_input, [&] { load_named_split(task("vqa", files), SplitName::train); });
  };
  EXPECT_THAT(error({asked, answers}), HasSubstr("question_id 91"));
  EXPECT_THAT(error({asked}), HasSubstr("annotations"));
  EXPECT_THAT(error({answers}), HasSubstr("questions"));
  EXPECT_THAT(error({scratch_.write("other.json", R"({"rows": []})").string()}), HasSubstr("neither"));
  const std::string bad = scratch_.write("bad.json", R"({"annotations": [{"question_id": 90, "answers": "cat"}]})").string();
  EXPECT_THAT(error({asked, bad}), HasSubstr("bad.json: row 1: answers"));
  error_of(Code::io, [&] { check_named_task(task("vqa", {"/nowhere.json"}), {SplitName::train}); });
  error_of(Code::usage, [&] { check_named_task(task("vqa", {}), {SplitName::train}); });
}

TEST_F(ImageRows, QuestionsAloneArePredicted) {
  const std::vector<TextExample> rows = load_named_rows(task("vqa", {}), questions());
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1].source, "vqa: How many cats?");
  EXPECT_EQ(rows[1].target, "");
}

TEST_F(ImageRows, CaptionsAreExamplesOfTheirOwnToTrainOn) {
  const std::string file = scratch_
                               .write("captions.json", R"({"images": [
      {"id": 9, "file_name": "COCO_train2014_000000000009.jpg", "height": 480}, {"id": 25, "file_name": "000000000025.jpg", "height": 1}],
      "annotations": [{"image_id": 25, "id": 1, "caption": "A giraffe."}, {"image_id": 9, "id": 2, "caption": " A box of food.\n"},
      {"image_id": 25, "id": 3, "caption": "Two giraffes."}]})")
                               .string();
  const std::vector<TextExample> train = load_named_split(task("coco-caption", {file}), SplitName::train);
  ASSERT_EQ(train.size(), 3u);
  EXPECT_EQ(train[0].source, "caption: ");
  EXPECT_EQ(train[0].target, "A box of food.");
  EXPECT_EQ(train[0].image, "train2014/COCO_train2014_000000000009.jpg");
  EXPECT_EQ(train[2].target, "Two giraffes.");
  EXPECT_EQ(train[2].image, "000000000025.jpg");
  const std::vector<TextExample> test = load_named_split(task("coco-caption", {file}), SplitName::test);
  ASSERT_EQ(test.size(), 2u);
  EXPECT_THAT(test[1].answers, ElementsAre("A giraffe.", "Two giraffes."));
}

TEST_F(ImageRows, KarpathysFileHoldsAllSplits) {
  const auto image = [](int id, const char* split) {
    return str(R"({"filepath": "val2014", "sentids": [1], "filename": "COCO_val2014_)", id, R"(.jpg", "split": ")", split,
               R"(", "sentences": [{"tokens": ["a"], "raw": "One )", id,
               R"(.", "sentid": 1}, {"tokens": ["b"], "raw": "Two.", "sentid": 2}], )", R"("cocoid": )", id, "}");
  };
  const std::string file =
      scratch_
          .write("dataset_coco.json", str(R"({"images": [)", image(1, "test"), ", ", image(2, "restval"), ", ", image(3, "train"),
                                          ", ", image(4, "val"), R"(], "dataset": "coco"})"))
          .string();
  const TaskData data = load_named_task(task("coco-caption", {file}), {SplitName::train, SplitName::validation, SplitName::test});
  EXPECT_EQ(data.train.size(), 4u);
  ASSERT_EQ(data.validation.size(), 1u);
  EXPECT_EQ(data.validation[0].image, "val2014/COCO_val2014_4.jpg");
  ASSERT_EQ(data.test.size(), 1u);
  EXPECT_THAT(data.test[0].answers, ElementsAre("One 1.", "Two."));
  EXPECT_THAT(data.metrics, ElementsAre("cider_d", "bleu_4"));
}

TEST_F(ImageRows, MetricsCompareWithAllAnswers) {
  MetricExtras extras;
  extras.answers = {{"two", "2", "2", "3", "3", "3", "3", "3", "3", "3"}, {}};
  const Strings predictions = {"2", "red"}, targets = {"3", "red"};
  EXPECT_NEAR(compute_metric("vqa_accuracy", predictions, targets, {}, extras), 100 * (0.9 + 1) / 2, 1e-9);
  EXPECT_GT(compute_metric("bleu_4", Strings{"a cat sits on the mat"}, Strings{"a cat sits on the mat"}, {}), 99.9);
}

}  // namespace test_image_rows
}  // namespace dept
