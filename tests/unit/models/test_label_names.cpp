#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dept/base/error.h"
#include "dept/models/label_names.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

using Names = std::vector<std::string>;
using Rows = std::vector<int64_t>;
using testing::HasSubstr;

TEST(RowsOfLabels, FollowEqualNames) {
  EXPECT_EQ(rows_of_labels({"POSITIVE", "NEGATIVE"}, {"NEGATIVE", "POSITIVE"}), (Rows{1, 0}));
  EXPECT_EQ(rows_of_labels({"c", "a", "b"}, {"a", "b", "c"}), (Rows{1, 2, 0}));
  EXPECT_EQ(rows_of_labels({"a", "A"}, {"A", "a"}), (Rows{1, 0})) << "names that differ in case alone";
}

TEST(RowsOfLabels, FollowNamesThatDifferInCase) {
  EXPECT_EQ(rows_of_labels({"CONTRADICTION", "NEUTRAL", "ENTAILMENT"}, {"entailment", "neutral", "contradiction"}),
            (Rows{2, 1, 0}));
  EXPECT_EQ(rows_of_labels({"a", "A"}, {"A", "b"}), std::nullopt);
  EXPECT_EQ(rows_of_labels({"Yes", "yes"}, {"YES", "yEs"}), std::nullopt) << "no telling which";
}

TEST(RowsOfLabels, FollowNumbers) {
  EXPECT_EQ(rows_of_labels({"LABEL_0", "LABEL_1"}, {"1", "0"}), (Rows{1, 0}));
  EXPECT_EQ(rows_of_labels({"1", "0"}, {"label_0", "LABEL_1"}), (Rows{1, 0}));
  EXPECT_EQ(rows_of_labels({"LABEL_0", "LABEL_1"}, {"1", "2"}), std::nullopt);
}

TEST(RowsOfLabels, NeedAMeaningForEveryName) {
  EXPECT_EQ(rows_of_labels({"LABEL_0", "LABEL_1"}, {"bad", "good"}), std::nullopt);
  EXPECT_EQ(rows_of_labels({"bad", "good"}, {"bad"}), std::nullopt);
  EXPECT_EQ(rows_of_labels({"bad"}, {"bad", "good"}), std::nullopt);
  EXPECT_EQ(rows_of_labels({"bad", "bad"}, {"bad", "good"}), std::nullopt);
}

class LabelNames : public testing::Test {
 protected:
  Names of(const std::string& config) {
    scratch_.write("config.json", config);
    return label_names(scratch_.path());
  }
  std::string error(const std::string& config) {
    try {
      of(config);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::bad_input);
      return error.what();
    }
    return "";
  }
  Scratch scratch_;
};

TEST_F(LabelNames, AreInTheOrderOfRows) {
  EXPECT_EQ(
      of(R"({"id2label": {"10": "k", "1": "b", "0": "a", "2": "c", "3": "d", "4": "e", "5": "f", "6": "g", "7": "h", "8": "i",
                   "9": "j"}})"),
      (Names{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"}));
  EXPECT_EQ(of(R"({"id2label": {"0": "a", "1": "b"}, "label2id": {"x": 0, "y": 1}})"), (Names{"a", "b"}));
  EXPECT_EQ(of(R"({"id2label": null, "label2id": {"x": 1, "y": 0}})"), (Names{"y", "x"}));
  EXPECT_EQ(of("{}"), Names{});
}

TEST_F(LabelNames, AreRefusedWhereTheyCannotBeRead) {
  EXPECT_THAT(error(R"({"id2label": ["a", "b"]})"), HasSubstr("id2label] expected an object"));
  EXPECT_THAT(error(R"({"id2label": {"0": "a", "one": "b"}})"), HasSubstr("received \"one\""));
  EXPECT_THAT(error(R"({"id2label": {"0": "a", "2": "b"}})"), HasSubstr("a name for row 1"));
  EXPECT_THAT(error(R"({"id2label": {"0": "a", "1": 2}})"), HasSubstr("id2label"));
}

}  // namespace
}  // namespace dept
