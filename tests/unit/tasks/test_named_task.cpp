#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "dept/tasks/named_task.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

using ::testing::HasSubstr;

class NamedTask : public ::testing::Test {
 protected:
  std::string file(const std::string& name, std::string_view bytes) { return scratch_.write(name, bytes).string(); }
  std::vector<TextExample> train(const std::string& task, const std::string& path) {
    o.task_name = task;
    o.train_file = {path};
    return load_named_split(o, SplitName::train);
  }
  std::string refusal(Code code, const std::string& task, const std::string& path) {
    return error_of(code, [&] { train(task, path); });
  }
  NamedTaskOptions o;
  Scratch scratch_;
};

TEST_F(NamedTask, AFileIsUsedWholeAndInOrder) {
  const auto examples = train("rte", file("a.tsv", "sentence1\tsentence2\tlabel\na\tb\t1\nc\td\t0\ne\tf\t-1\n"));
  ASSERT_EQ(examples.size(), 3u);
  EXPECT_EQ(examples[1].source, "sentence1: c sentence2: d");
  EXPECT_EQ(examples[1].index, 1);
  EXPECT_EQ(examples[2].target, "-1");
}

TEST_F(NamedTask, PlainColumnsServe) {
  const auto examples = train("winogrande", file("a.csv", "source,target\nthe text,1\n"));
  EXPECT_EQ(examples[0].source, "the text");
  EXPECT_EQ(examples[0].target, "1");
  EXPECT_EQ(train("yelp_polarity", file("b.csv", "text,label\nfine,0\n"))[0].source, "sentence: fine");
}

TEST_F(NamedTask, BadRowsAreNamed) {
  EXPECT_THAT(refusal(Code::bad_input, "sst2", file("a.csv", "sentence,label\nx,0\ny,2\n")), HasSubstr("a.csv:3"));
  EXPECT_THAT(refusal(Code::bad_input, "sst2", file("b.csv", "words,label\nx,0\n")), HasSubstr("\"sentence\""));
  EXPECT_THAT(refusal(Code::bad_input, "winogrande", file("c.csv", "sentence,option1,option2,answer\nx,a,b,\n")),
              HasSubstr("c.csv:2"));
  EXPECT_THAT(refusal(Code::bad_input, "stsb", file("d.csv", "sentence1,sentence2,label\nx,a,high\n")), HasSubstr("a number"));
  EXPECT_THAT(refusal(Code::bad_input, "nq", file("e.jsonl", "{\"question\": \"q\", \"context\": \"c\", \"answers\": []}\n")),
              HasSubstr("answers[0]"));
  EXPECT_THAT(
      refusal(Code::bad_input, "nq", file("f.jsonl", "{\"question\": [\"q\"], \"context\": \"c\", \"answers\": [\"a\"]}\n")),
      HasSubstr("text"));
  EXPECT_THAT(refusal(Code::bad_input, "superglue-wsc.fixed",
                      file("g.csv", "text,span1_text,span1_index,span2_text,span2_index,label\na b,a,first,b,1,0\n")),
              HasSubstr("an integer"));
}

TEST_F(NamedTask, SplitsThatAreNotThere) {
  o.task_name = "yelp_polarity";
  o.split_validation_test = false;
  EXPECT_THAT(error_of(Code::usage, [&] { load_named_split(o, SplitName::validation); }), HasSubstr("no validation split"));
  o.task_name = "drop";
  o.original_quirks = true;
  EXPECT_THAT(error_of(Code::usage, [&] { load_named_split(o, SplitName::test); }), HasSubstr("no test split"));
  o.original_quirks = false;
  o.validation_file = {file("v.jsonl", R"({"question": "q", "passage": "p", "answers_spans": {"spans": ["a b"]}})")};
  EXPECT_EQ(load_named_split(o, SplitName::test)[0].target, "a b");
  o.task_name = "sst2";
  o.cache_dir = "/nonexistent";
  ::setenv("HF_HUB_OFFLINE", "1", 1);
  EXPECT_THAT(error_of(Code::io, [&] { load_named_split(o, SplitName::train); }), HasSubstr("--train_file"));
}

TEST_F(NamedTask, OnlyTheOriginalDividesFiles) {
  const std::string rows = file("a.csv", "sentence,label\n1,0\n2,1\n3,0\n");
  o.task_name = "cola";
  o.validation_file = {rows};
  EXPECT_EQ(load_named_split(o, SplitName::validation).size(), 3u);
  o.original_quirks = true;
  EXPECT_EQ(load_named_split(o, SplitName::validation).size(), 1u);
  EXPECT_THAT(refusal(Code::bad_input, "sst2", rows), HasSubstr("1,000"));
  o.split_validation_test = false;
  EXPECT_THAT(refusal(Code::bad_input, "yelp_polarity", file("b.csv", "text,label\n1,0\n")), HasSubstr("100000 training rows"));
}

TEST_F(NamedTask, AtMostSoManyTrainingRows) {
  o.task_file = file("t.yaml", "mine: {source: \"{text}\", target: \"{label}\", metrics: [accuracy], max_train_rows: 2}\n");
  const std::string rows = file("a.csv", "text,label\na,0\nb,1\nc,0\n");
  EXPECT_EQ(train("mine", rows).size(), 2u);
  o.validation_file = {rows};
  EXPECT_EQ(load_named_split(o, SplitName::validation).size(), 3u);
  EXPECT_EQ(find_task("yelp_polarity", {}, Quirks()).max_train_rows, 100000);
}

TEST_F(NamedTask, KShotNeedsClasses) {
  const std::string rows = file("a.csv", "sentence,label\n1,0\n2,1\n3,0\n");
  o.k_shot_examples = 2;
  EXPECT_EQ(train("sst2", rows).size(), 2u);
  o.k_shot_examples = 1;
  o.task_name = "sst2";
  EXPECT_THAT(error_of(Code::usage, [&] { check_named_task(o, {SplitName::train}); }), HasSubstr("each of 2 classes"));
  o.task_name = "squad";
  EXPECT_THAT(error_of(Code::usage, [&] { check_named_task(o, {}); }), HasSubstr("labels"));
  o.task_name = "paws";
  o.original_quirks = true;
  EXPECT_THAT(error_of(Code::usage, [&] { check_named_task(o, {}); }), HasSubstr("original"));
}

TEST_F(NamedTask, GroupsOfQuestions) {
  o.task_name = "superglue-multirc";
  o.validation_file = {file(
      "a.jsonl", R"({"question": "q", "answer": "a", "paragraph": "p", "idx": {"paragraph": 3, "question": 7}, "label": 1})")};
  const TaskData task = load_named_task(o, {SplitName::validation});
  EXPECT_EQ(task.metrics, (std::vector<std::string>{"f1", "em"}));
  EXPECT_EQ(task.validation[0].group, "7");
  o.validation_file = {file("b.csv", "question,answer,paragraph,label\nq,a,p,1\n")};
  EXPECT_EQ(load_named_task(o, {SplitName::validation}).metrics, std::vector<std::string>{"f1"});
}

TEST_F(NamedTask, AllProblemsAtOnce) {
  o.task_name = "sst2";
  o.train_file = {file("a.csv", "words,label\nx,0\n")};
  o.validation_file = {"nowhere.csv"};
  const std::string what = error_of(Code::bad_input, [&] { check_named_task(o, {SplitName::train, SplitName::validation}); });
  EXPECT_THAT(what, HasSubstr("\"sentence\""));
  EXPECT_THAT(what, HasSubstr("nowhere.csv"));
}

TEST(TaskFile, DescriptionsAreChecked) {
  const auto refusal = [](const std::string& body) {
    return error_of(Code::bad_input,
                    [&] { parse_tasks("mine:\n  source: \"{a}\"\n  target: \"{b}\"\n" + body, "t.yaml", Quirks()); });
  };
  EXPECT_THAT(refusal(""), HasSubstr("metrics"));
  EXPECT_THAT(refusal("  metrics: [bleu]\n"), HasSubstr("one of accuracy"));
  EXPECT_THAT(refusal("  metrics: [accuracy]\n  colour: red\n"), HasSubstr("colour"));
  EXPECT_THAT(refusal("  metrics: [accuracy]\n  divide: both\n"), HasSubstr("divide"));
  EXPECT_THAT(refusal("  metrics: [f1]\n  labels: [a, b, c]\n"), HasSubstr("two labels"));
  EXPECT_THAT(refusal("  metrics: [em]\n  labels: [a, b]\n"), HasSubstr("group"));
  EXPECT_THAT(refusal("  metrics: [accuracy]\n  labels: [a, b]\n  values: {x: c}\n"), HasSubstr("among the labels"));
  EXPECT_THAT(refusal("  metrics: [accuracy]\n  splits: {dev: x}\n"), HasSubstr("splits"));
  EXPECT_THAT(refusal("  metrics: [accuracy]\n  group: \"{a|upper}\"\n"), HasSubstr("functions"));
  EXPECT_THAT(refusal("  metrics: [accuracy]\n  group: \"{a[x]}\"\n"), HasSubstr("path"));
  EXPECT_THAT(refusal("  metrics: [accuracy]\n  max_train_rows: none\n"), HasSubstr("max_train_rows"));
  error_of(Code::bad_input, [] { parse_tasks("[a]", "t.yaml", Quirks()); });
  EXPECT_THAT(error_of(Code::usage, [] { find_task("sst3", {}, Quirks()); }), HasSubstr("nearest is sst2"));
}

TEST_F(NamedTask, NullsAreNoText) {
  EXPECT_THAT(refusal(Code::bad_input, "sst2",
                      file("a.jsonl", "{\"sentence\": \"a\", \"label\": 0}\n{\"sentence\": null, \"label\": 1}\n")),
              HasSubstr("a.jsonl:2: sentence] expected text, received null"));
  EXPECT_THAT(refusal(Code::bad_input, "sst2", file("b.jsonl", "{\"sentence\": \"a\", \"label\": null}\n")),
              HasSubstr("b.jsonl:1: label]"));
}

TEST_F(NamedTask, ClassNamesWhereTheTaskSpeaksOfThem) {
  const std::string rows = DEPT_TEST_DATA "/parity/data/data/classes/labels.parquet";
  const auto targets = [&](const std::string& more) {
    o.task_file = file("t.yaml", "mood:\n  source: \"{text}\"\n  target: \"{label}\"\n  metrics: [accuracy]\n" + more);
    std::vector<std::string> answers;
    for (const TextExample& example : train("mood", rows)) answers.push_back(example.target);
    return answers;
  };
  const std::vector<std::string> names = {"angry", "sad", "-1", "happy", "sad", "angry"},
                                 numbers = {"2", "0", "-1", "1", "0", "2"};
  EXPECT_EQ(targets("  labels: [happy, sad, angry]\n"), names);
  EXPECT_EQ(targets(""), names);
  EXPECT_EQ(targets("  labels: [\"0\", \"1\", \"2\"]\n"), numbers);
  EXPECT_EQ(targets("  values: {\"0\": low, \"1\": good, \"2\": bad}\n  labels: [low, good, bad]\n"),
            (std::vector<std::string>{"bad", "low", "-1", "good", "low", "bad"}));
}

TEST_F(NamedTask, TrainingRowsValidate) {
  std::string rows = "sentence,label\n";
  for (int i = 0; i < 20; ++i) rows += str("s", i, ",", i % 4 == 0 ? 0 : 1, "\n");
  o.task_name = "sst2";
  o.train_file = {file("a.csv", rows)};
  o.validation_split = 0.2;
  check_named_task(o, {SplitName::train, SplitName::validation});
  const TaskData task = load_named_task(o, {SplitName::train, SplitName::validation});
  ASSERT_EQ(task.validation.size(), 4u);
  EXPECT_EQ(task.train.size(), 16u);
  EXPECT_EQ(std::count_if(task.validation.begin(), task.validation.end(), [](const auto& row) { return row.target == "0"; }), 1);
  o.k_shot_examples = 4;
  const TaskData few = load_named_task(o, {SplitName::train, SplitName::validation});
  EXPECT_EQ(few.train.size(), 4u);
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(few.validation[i].index, task.validation[i].index);
  o.train_file.clear();
  EXPECT_THAT(error_of(Code::usage, [&] { check_named_task(o, {}); }), HasSubstr("validation_split"));
}

}  // namespace
}  // namespace dept
