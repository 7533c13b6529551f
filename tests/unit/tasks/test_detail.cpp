#include <gmock/gmock.h>

#include "dept/tasks/detail.h"

namespace dept {
namespace {

using ::testing::ElementsAre;
using Strings = std::vector<std::string>;

std::vector<TextExample> texts(size_t count) {
  std::vector<TextExample> examples(count);
  for (TextExample& example : examples) example.source.assign(1, 's');
  return examples;
}

std::vector<int64_t> worst_of(const OrderedJson& detail) {
  std::vector<int64_t> found;
  for (const OrderedJson& one : detail["worst"]) found.push_back(one["index"].get<int64_t>());
  return found;
}

TEST(Detail, FreeTextByTheWordsOfItsTarget) {
  const Strings targets = {"Paris",     "the red house",          "",
                           "two words", "five words in this one", "seven words are what this one has"};
  const Strings predictions = {"paris.", "a red car", "x", "two words", "five words", "seven words are what this one has"};
  const OrderedJson detail = evaluation_detail("validation", {texts(6), predictions, targets, {}, {}});
  EXPECT_FALSE(detail.contains("labels"));
  const OrderedJson& groups = detail["by_length"];
  ASSERT_EQ(groups.size(), 5u);
  const auto range = [&](size_t i) {
    return std::vector<int64_t>{groups[i]["min"].get<int64_t>(), groups[i]["max"].get<int64_t>(),
                                groups[i]["examples"].get<int64_t>()};
  };
  EXPECT_THAT(range(0), ElementsAre(0, 0, 1));
  EXPECT_THAT(range(1), ElementsAre(1, 1, 1));
  EXPECT_THAT(range(2), ElementsAre(2, 2, 1));
  EXPECT_THAT(range(3), ElementsAre(3, 4, 1));
  EXPECT_THAT(range(4), ElementsAre(5, 8, 2));
  EXPECT_EQ(groups[1]["em"], 1.0) << "SQuAD's normal form";
  EXPECT_EQ(groups[3]["f1"], 0.5);
  EXPECT_EQ(groups[4]["em"], 0.5);
  EXPECT_THAT(worst_of(detail), ElementsAre(2, 1, 4)) << "by F1: 0, 1/2, 4/7";
}

TEST(Detail, NumbersByTheirDistance) {
  const OrderedJson detail =
      evaluation_detail("test", {texts(4), Strings{"1.0", "2.5", "none", "4"}, Strings{"1", "2.0", "3.0", "1.0"}, {}, {}, true});
  EXPECT_FALSE(detail.contains("by_length"));
  EXPECT_THAT(worst_of(detail), ElementsAre(2, 3, 1));
}

TEST(Detail, OnlyTheLossLeavesOnlyCounts) {
  const Strings targets = {"a", "b"}, labels = targets;
  EXPECT_EQ(evaluation_detail("test", {texts(2), {}, targets, {}, labels}).dump(), R"({"split":"test","examples":2})");
}

TEST(Detail, SourcesAreCutBetweenCharacters) {
  EXPECT_EQ(cut_to("h\xC3\xA9llo", 2), "h\xC3\xA9");
  EXPECT_EQ(cut_to("abc", 3), "abc");
  EXPECT_EQ(cut_to("abc", 0), "");
}

TEST(Detail, TableByClass) {
  const Strings labels = {"no", "\xC3\xA9"}, predictions = {"no", "no", "x"}, targets = {"no", "\xC3\xA9", "\xC3\xA9"};
  EXPECT_THAT(class_table(evaluation_detail("test", {texts(3), predictions, targets, {}, labels})),
              ElementsAre("class precision    recall        f1   support",  //
                          "no         50.0     100.0      66.7         1",  //
                          "\xC3\xA9           0.0       0.0       0.0         2", "1 answers are no label"));
  EXPECT_THAT(class_table(evaluation_detail("test", {texts(3), predictions, targets, {}, {}})), ElementsAre());
}

}  // namespace
}  // namespace dept
