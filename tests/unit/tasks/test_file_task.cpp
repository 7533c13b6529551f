#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/tasks/task.h"

namespace dept {
namespace {

using Strings = std::vector<std::string>;
using ::testing::HasSubstr;
using ::testing::Not;

class FileTask : public ::testing::Test {
 protected:
  FileTask() { fs::create_directories(folder_); }
  ~FileTask() override { fs::remove_all(folder_); }

  std::string file(const std::string& name, std::string_view bytes) {
    write_atomic(folder_ / name, bytes);
    return (folder_ / name).string();
  }

  struct Refusal {
    Code code{};
    std::string what;
  };
  template <class Call>
  Refusal refusal(Call call) {
    try {
      call();
      return {};
    } catch (const Error& error) {
      return {error.code(), error.what()};
    }
  }
  Refusal check() {
    return refusal([&] { check_file_task(options); });
  }
  Refusal load() {
    return refusal([&] { load_file_task(options); });
  }

  fs::path folder_ = fs::temp_directory_path() / str("dept-task-", ::getpid());
  FileTaskOptions options;
};

TEST_F(FileTask, ReviewsWithLabelWords) {
  options.train_file = {file("train.csv", "text,label\ngood,positive\n\"bad, \"\"sad\"\"\", negative \n")};
  options.validation_file = {file("val.tsv", "label\ttext\npositive\tfine\n")};
  options.test_file = {file("test.jsonl", "{\"text\": \"so so\", \"label\": \"negative\", \"more\": 1}\n")};
  options.labels = {"negative", "positive"};
  options.label_words = {" negative", " positive"};
  options.metrics = {"accuracy", "f1"};
  const TaskData task = load_file_task(options);
  ASSERT_EQ(task.train.size(), 2u);
  EXPECT_EQ(task.train[0].source, "good");
  EXPECT_EQ(task.train[0].target, " positive");
  EXPECT_EQ(task.train[1].source, "bad, \"sad\"");
  EXPECT_EQ(task.train[1].target, " negative");
  EXPECT_EQ(task.train[1].index, 1);
  ASSERT_EQ(task.validation.size(), 1u);
  EXPECT_EQ(task.validation[0].source, "fine");
  ASSERT_EQ(task.test.size(), 1u);
  EXPECT_EQ(task.test[0].target, " negative");
  EXPECT_EQ(task.metrics, (Strings{"accuracy", "f1"}));
  EXPECT_FALSE(task.free_text());
  EXPECT_EQ(task.label_of("positive "), "positive");
  EXPECT_EQ(task.label_of(" neither "), "neither");
}

TEST_F(FileTask, LabelsAreCollectedSorted) {
  options.train_file = {
      file("train.json", R"([{"text": "a", "label": 1}, {"text": "b", "label": 0}, {"text": "c", "label": 1}])")};
  const TaskData task = load_file_task(options);
  EXPECT_EQ(task.labels, (Strings{"0", "1"}));
  EXPECT_EQ(task.label_words, (Strings{"0", "1"}));
  EXPECT_EQ(task.metrics, (Strings{"accuracy", "f1"}));
  EXPECT_EQ(task.train[0].target, "1");
}

TEST_F(FileTask, ThreeLabelsAreScoredByMacroF1) {
  options.train_file = {file("train.csv", "text,label\n1,c\n2,a\n3,b\n")};
  EXPECT_EQ(load_file_task(options).metrics, (Strings{"accuracy", "f1_macro"}));
}

TEST_F(FileTask, SourceAndTargetAreFreeText) {
  options.train_file = {file("train.csv", "source,target\nWho?,The king\nWho?,Nobody\n")};
  const TaskData task = load_file_task(options);
  EXPECT_TRUE(task.free_text());
  EXPECT_EQ(task.train[0].target, "The king");
  EXPECT_EQ(task.metrics, (Strings{"exact_match"}));
  EXPECT_EQ(task.label_of(" x "), "x");
  options.labels = {"The king", "Nobody"};
  EXPECT_FALSE(load_file_task(options).free_text());
}

TEST_F(FileTask, TemplateAndPair) {
  options.train_file = {file("train.csv", "premise,hypothesis,label\np1,h1,0\np2,,1\n")};
  options.text_column = "premise";
  options.text_pair_column = "hypothesis";
  EXPECT_EQ(load_file_task(options).train[0].source, "p1 h1");
  options.source_template = "{{x}} {hypothesis} <- {text}:";
  EXPECT_EQ(load_file_task(options).train[0].source, "{x} h1 <- p1 h1:");
  options.text_pair_column = "";
  options.source_template = "{hypothesis}{premise}";
  options.text_column = "not needed then";
  EXPECT_EQ(load_file_task(options).train[1].source, "p2");
}

TEST_F(FileTask, UnlabelledFile) {
  const std::string path = file("in.csv", "text\na\nb\n");
  check_file_examples(options, path, false);
  EXPECT_THAT(refusal([&] { check_file_examples(options, path, true); }).what, HasSubstr("expected a column \"label\""));
  const auto examples = load_file_examples(options, path, false, {"0", "1"});
  ASSERT_EQ(examples.size(), 2u);
  EXPECT_EQ(examples[1].source, "b");
  EXPECT_EQ(examples[1].target, "");
  EXPECT_EQ(examples[1].index, 1);
  EXPECT_THAT(refusal([&] {
                load_file_examples(options, path, true, {"0", "1"});
              }).what,
              HasSubstr("expected a column \"label\""));
}

TEST_F(FileTask, LabelledFileOfKnownLabels) {
  const std::string path = file("in.csv", "text,label\na,1\nb,2\n");
  const Refusal bad = refusal([&] { load_file_examples(options, path, true, {"0", "1"}); });
  EXPECT_EQ(bad.code, Code::bad_input);
  EXPECT_THAT(bad.what, HasSubstr("in.csv:3] expected a label of 0, 1, received \"2\""));
  EXPECT_EQ(load_file_examples(options, path, true, {}).at(1).target, "2");
}

TEST_F(FileTask, AllProblemsAtOnce) {
  options.train_file = {(folder_ / "none.csv").string()};
  options.validation_file = {file("val.csv", "sentence,kind\na,b\n")};
  options.test_file = {file("test.txt", "a\n")};
  options.labels = {"x", "y", "z"};
  options.label_words = {"x", "y"};
  options.metrics = {"f1", "bleu"};
  const Refusal all = check();
  EXPECT_EQ(all.code, Code::io);
  EXPECT_THAT(all.what, HasSubstr("train_file: ["));
  EXPECT_THAT(all.what, HasSubstr("expected columns \"text\", \"label\", received columns \"sentence\", \"kind\""));
  EXPECT_THAT(all.what, HasSubstr("expected a .csv, .tsv, .json, .jsonl or .parquet file"));
  EXPECT_THAT(all.what, HasSubstr("[label_words] expected one for each of 3 labels (x, y, z), received 2"));
  EXPECT_THAT(all.what, HasSubstr("\"bleu\""));
  EXPECT_THAT(all.what, Not(HasSubstr("\n")));
}

TEST_F(FileTask, OptionProblems) {
  options.train_file = {file("train.csv", "text,label\na,b\n")};
  for (const char* broken : {"{text", "text}", "{}", "{a{b}}", "no column"}) {
    options.source_template = broken;
    EXPECT_EQ(check().code, Code::usage) << broken;
  }
  options.source_template = "{text} {topic}";
  EXPECT_THAT(check().what, HasSubstr("expected a column \"topic\", received columns \"text\", \"label\""));
  options.source_template = "{label}";
  options.text_pair_column = "text";
  EXPECT_THAT(check().what, HasSubstr("[text_pair_column]"));
  options.text_pair_column = "";
  options.source_template = "{text}";
  options.labels = {"b", "b"};
  EXPECT_THAT(check().what, HasSubstr("\"b\" twice"));
  options.labels = {"b"};
  EXPECT_THAT(check().what, HasSubstr("two labels or more"));
  options.labels = {"b", "c"};
  options.label_words = {"yes", " yes"};
  EXPECT_THAT(check().what, HasSubstr("[label_words] expected each once"));
  options.label_words = {"yes", "no"};
  EXPECT_EQ(check().what, "");
}

TEST_F(FileTask, BadRowsAreNamed) {
  options.train_file = {file("train.csv", "text,label\na,0\n\"b\nb\",1\nc,\n")};
  EXPECT_EQ(check().what, "");
  EXPECT_THAT(load().what, HasSubstr("train.csv:5] expected an answer in column \"label\", received an empty cell"));
  options.train_file = {file("train.csv", "text,label\na,0\n\"b\nb\",1\n")};
  options.validation_file = {file("val.jsonl", "{\"text\": \"\", \"label\": 1}\n\n{\"text\": \"\", \"label\": true}\n")};
  EXPECT_THAT(load().what, HasSubstr("val.jsonl:3] expected a label of 0, 1, received \"true\""));
  options.validation_file = {file("val.json", R"([{"text": "", "label": 1}, {"text": {"a": 1}, "label": 1}])")};
  EXPECT_THAT(load().what, HasSubstr("val.json: row 2] expected text in column \"text\", received an object or array"));
  options.validation_file.clear();
  options.train_file = {file("train.csv", "text,label\na,0\nb,0\n")};
  EXPECT_THAT(load().what, HasSubstr("two labels or more"));
  options.label_words = {"a", "b", "c"};
  options.train_file = {file("train.csv", "text,label\na,0\nb,1\n")};
  EXPECT_THAT(load().what, HasSubstr("[label_words] expected one for each of 2 labels (0, 1), received 3"));
}

TEST_F(FileTask, TooManyLabelsAreNoLabels) {
  std::string rows = "text,label\n";
  for (int i = 0; i < 1200; ++i) rows += str("t,answer ", i, "\n");
  options.train_file = {file("train.csv", rows)};
  EXPECT_THAT(load().what, HasSubstr("train.csv:1002] expected at most 1000 labels"));
  options.metrics = {"exact_match"};
  EXPECT_EQ(load_file_task(options).train.back().target, "answer 1199");
}

TEST_F(FileTask, NullsAreNoText) {
  options.train_file = {file("a.jsonl", "{\"text\": \"a\", \"label\": \"x\"}\n{\"text\": null, \"label\": \"y\"}\n")};
  EXPECT_THAT(load().what, HasSubstr("a.jsonl:2] expected text in column \"text\", received null"));
  options.train_file = {file("b.json", R"([{"text": "a", "label": "x"}, {"text": "b", "label": null}])")};
  EXPECT_THAT(load().what, HasSubstr("b.json: row 2] expected an answer in column \"label\", received null"));
  options.train_file = {
      file("c.jsonl", "{\"text\": \"a\", \"more\": null, \"label\": \"x\"}\n{\"text\": \"\", \"more\": 1, \"label\": \"y\"}\n")};
  EXPECT_EQ(load().what, "") << "in a column that is not used";
  options.text_pair_column = "more";
  EXPECT_THAT(load().what, HasSubstr("c.jsonl:1] expected text in column \"more\", received null"));
}

TEST_F(FileTask, SeveralTrainingFiles) {
  options.train_file = {file("a.csv", "text,label\na,x\n"), file("b.tsv", "label\ttext\ny\tb\n")};
  const TaskData task = load_file_task(options);
  ASSERT_EQ(task.train.size(), 2u);
  EXPECT_EQ(task.labels, (Strings{"x", "y"}));
  EXPECT_EQ(task.train[1].source, "b");
  EXPECT_EQ(task.train[1].index, 1);
  EXPECT_EQ(task.train[1].where_source(), (folder_ / "b.tsv").string() + ":2: text");
  EXPECT_EQ(task.train[1].where_target(), (folder_ / "b.tsv").string() + ":2: label");
  options.train_file.push_back(file("c.csv", "text,kind\na,x\n"));
  EXPECT_THAT(check().what, HasSubstr("c.csv] expected a column \"label\""));
}

TEST_F(FileTask, ColumnsAndFlagsAreNamed) {
  options.train_file = {file("a.csv", "sentence,kind\na,b\n")};
  EXPECT_THAT(check().what, HasSubstr("received columns \"sentence\", \"kind\" (--text_column and --label_column name others)"));
  options.text_column = "sentence";
  EXPECT_THAT(check().what, HasSubstr("(--label_column names another)"));
  options.train_file = {file("a.csv", "text;label\na;b\n")};
  EXPECT_THAT(check().what, HasSubstr("(--delimiter \";\" if that separates"));
  options.text_column = "text";
  options.delimiter = ";";
  EXPECT_EQ(check().what, "");
  options.delimiter = ";;";
  EXPECT_EQ(check().code, Code::usage);
}

// Files of tests/parity/make/class_names.py.
TEST_F(FileTask, ClassNamesAreLabels) {
  const std::string folder = DEPT_TEST_DATA "/parity/data/data/classes/";
  options.train_file = {folder + "labels.parquet"};
  TaskData task = load_file_task(options);
  EXPECT_EQ(task.labels, (Strings{"sad", "happy", "angry"}));
  ASSERT_EQ(task.train.size(), 5u) << "one of six is hidden";
  EXPECT_EQ(task.train[0].target, "angry");
  EXPECT_EQ(task.train[2].source, "text 1");
  EXPECT_EQ(task.train[2].index, 3);
  options.test_file = {folder + "hidden.parquet"};
  EXPECT_THAT(load().what, HasSubstr("hidden.parquet] expected a row with a label, received 3 whose class is hidden (-1)"));
  options.test_file = {file("test.csv", "text,label\na,happy\n")};
  EXPECT_EQ(load_file_task(options).test[0].target, "happy");
  options.test_file = {file("test.csv", "text,label\na,1\n")};
  EXPECT_THAT(load().what, HasSubstr("expected a label of sad, happy, angry, received \"1\""));
  options.test_file.clear();
  options.labels = {"-1", "0", "1", "2"};
  EXPECT_EQ(load_file_task(options).train[0].target, "2") << "labels that are numbers are the file's own";
  options.labels = {"angry", "happy", "sad"};
  options.label_words = {"bad", "good", "low"};
  EXPECT_EQ(load_file_task(options).train[0].target, "bad");
}

}  // namespace
}  // namespace dept
