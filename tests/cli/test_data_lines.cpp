// What is said of data: bad rows by file, line and column, labels and answers that cannot be, counts, texts that are cut.
#include <gmock/gmock.h>

#include <algorithm>

#include "cli/program.h"
#include "cli/tiny_training.h"
#include "dept/base/json.h"

namespace dept {
namespace {

using Words = std::vector<std::string>;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class DataLines : public ::testing::Test {
 protected:
  DataLines() { put_tiny_model(model_); }
  std::string file(const std::string& name, std::string_view bytes) const { return scratch_.write(name, bytes).string(); }
  Outcome train(const Words& more) const {
    Words flags = typed(
        "train --do_train --max_steps 1 --prefix_length 2 --r 1 --max_seq_length 24 --threads 1 --report_to none"
        " --save_strategy no --overwrite_output_dir",
        {"--model_name_or_path", model_, "--output_dir", out_});
    flags.insert(flags.end(), more.begin(), more.end());
    return run_dept(flags);
  }
  std::string refused(int code, const Words& more) const { return expect_one_line(train(more), code); }
  // What is said while it trains.
  std::string said(const Words& more) const {
    const Outcome run = train(more);
    EXPECT_EQ(run.code, 0) << run.err;
    return run.err;
  }
  // A token of the tokenizer that the embedding does not have.
  void add_token() const {
    Json tokenizer = read_json(model_ / "tokenizer.json");
    tokenizer["added_tokens"].push_back({{"id", 96},
                                         {"content", "[PAD]"},
                                         {"single_word", false},
                                         {"lstrip", false},
                                         {"rstrip", false},
                                         {"normalized", false},
                                         {"special", true}});
    write_atomic(model_ / "tokenizer.json", tokenizer.dump());
  }

  Scratch scratch_;
  const fs::path model_ = scratch_ / "model", out_ = scratch_ / "out";
};

TEST_F(DataLines, RowsAreNamedByFileLineAndColumn) {
  const Words head = {"--task_type", "SEQ_CLS", "--metrics", "pearson", "--train_file"};
  const auto regression = [&](const std::string& path) {
    Words flags = head;
    flags.push_back(path);
    return refused(3, flags);
  };
  EXPECT_THAT(regression(file("nan.csv", "text,label\ngood,1.5\nbad,nan\nok,2\n")),
              HasSubstr("nan.csv:3: label] expected a number"));
  EXPECT_THAT(regression(file("comma.csv", "text,label\nok,2\ngood,\"1,5\"\n")),
              HasSubstr("comma.csv:3: label] expected a number"));
  EXPECT_THAT(regression(file("n.json", R"([{"text": "a", "label": 1.0}, {"text": "b", "label": "x"}])")),
              HasSubstr("n.json: row 2: label]"));
  const std::string empty = file("empty.csv", "text,label\nfirst,a\n,b\n");
  EXPECT_THAT(refused(3, {"--causal_suffix", "", "--train_file", empty}),
              HasSubstr("empty.csv:3: text] expected a text of at least one token"));
  EXPECT_THAT(refused(3, {"--task_type", "SEQ_CLS", "--train_file", empty}), HasSubstr("empty.csv:3: text]"));
  EXPECT_THAT(
      refused(3, {"--train_file", file("null.jsonl", "{\"text\": \"a\", \"label\": 1}\n{\"text\": null, \"label\": 0}\n")}),
      HasSubstr("null.jsonl:2] expected text in column \"text\", received null"));
}

TEST_F(DataLines, TokensBeyondTheEmbeddingAreFoundInTheData) {
  add_token();
  const std::string rows = file("beyond.csv", "text,label\nfine,a\nwith [PAD] in it,b\n");
  EXPECT_THAT(refused(3, {"--train_file", rows}),
              AllOf(HasSubstr("beyond.csv:3: text]"), HasSubstr("vocab_size 96"), HasSubstr("\"[PAD]\" with id 96")));
  EXPECT_FALSE(fs::exists(out_)) << "found before anything is made";
  EXPECT_THAT(refused(3, {"--train_file", file("answer.csv", "source,target\nfine,a [PAD]\n")}),
              HasSubstr("answer.csv:2: target]"));
  EXPECT_THAT(refused(3, {"--train_file", file("label.csv", "text,label\nfine,[PAD]\nx,b\n")}), HasSubstr("label \"[PAD]\""));
  const Words model = {"--model_name_or_path", model_.string(), "--threads", "1"};
  const auto with_model = [&](Words words) {
    words.insert(words.end(), model.begin(), model.end());
    return words;
  };
  EXPECT_THAT(expect_one_line(run_dept(with_model({"eval", "--test_file", rows, "--labels", "a,b"})), 3),
              HasSubstr("beyond.csv:3: text]"));
  EXPECT_THAT(run_dept(with_model({"predict", "--labels", "a,b"}), "\"fine\"\n\"a [PAD]\"\n").err,
              HasSubstr("stdin: line 2: text]"));
  EXPECT_THAT(run_dept(with_model({"generate", "--max_new_tokens", "1"}), "\"fine\"\n\"a [PAD]\"\n").err,
              AllOf(HasSubstr("stdin: line 2]"), HasSubstr("\"[PAD]\" with id 96")));
  EXPECT_THAT(run_dept(with_model({"score"}), "{\"text\": \"a [PAD]\"}\n").err, HasSubstr("stdin: line 1]"));
}

TEST_F(DataLines, LabelsOfTheSameIdsAreRefused) {
  const std::string rows = file("signs.csv", "text,label\ngood,\xC3\xA9\nbad,\xC3\xBC\n");
  EXPECT_THAT(refused(3, {"--train_file", rows}),
              AllOf(HasSubstr("\"\xC3\xA9\" and \"\xC3\xBC\", both ids [0]"), HasSubstr("--label_words")));
  EXPECT_FALSE(fs::exists(out_));
  EXPECT_EQ(train({"--task_type", "SEQ_CLS", "--train_file", rows}).code, 0) << "a head does not say them";
}

TEST_F(DataLines, AnswersThatCannotBe) {
  const std::string longer = "text,label\ngood,a very very long label\nbad,no\n";
  const std::string rows = file("long.csv", longer);
  EXPECT_THAT(said({"--train_file", rows}),
              HasSubstr("no answer can reach 1 of 2 labels: \"a very very long label\" (23 tokens, an answer has at most 20)"));
  EXPECT_THAT(said({"--train_file", rows, "--generation_max_length", "23"}), Not(HasSubstr("no answer can reach")));
  EXPECT_THAT(said({"--train_file", rows, "--predict_by", "score"}), Not(HasSubstr("no answer can reach")));
  EXPECT_THAT(said({"--train_file", file("lost.csv", "text,label\ngood,yes\nbad,n\xC3\xA9\n")}),
              HasSubstr("\"n\xC3\xA9\" (its tokens are read back as \"n\")"));
  const std::string free = file("free.csv", "source,target\na,1234567890123456789012345\nb,short\n");
  EXPECT_THAT(said({"--train_file", free, "--validation_file", free, "--do_eval"}),
              HasSubstr("validation: 1 of 2 answers (50 %) are longer than generation_max_length 20"));
}

TEST_F(DataLines, CountsAndCutTexts) {
  const std::string rows = file("a.csv", "text,label\na text of more than twenty-four tokens,x\nb,y\nc,y\n");
  EXPECT_THAT(said({"--train_file", rows, "--causal_suffix", " :"}),
              AllOf(HasSubstr("train: 3 examples (x 1, y 2)\n"),
                    HasSubstr("train: 1 of 3 texts (33.3 %) are longer than max_seq_length 24 and cut\n")));
  EXPECT_THAT(said({"--train_file", file("n.csv", "text,label\na,0.5\nb,1.25\nc,2\n")}),
              HasSubstr("the labels look like numbers (0.5, 1.25, 2): --metrics pearson"));
  EXPECT_THAT(said({"--train_file", file("n.csv", "text,label\na,0\nb,1\n")}), Not(HasSubstr("look like numbers")));
}

TEST_F(DataLines, TsvQuotesNothing) {
  const std::string silent = "text\tlabel\n\"Oh no, said he\ta\nbad film\tb\nit was a mess\tb\nso very good\"\ta\n";
  EXPECT_THAT(said({"--train_file", file("s.tsv", silent)}), HasSubstr("train: 4 examples (a 2, b 2)\n"));
  EXPECT_THAT(said({"--train_file", file("q.tsv", "text\tlabel\n\"a\tb\"\tx\n\"c\"\ty\n"), "--quoting", "minimal"}),
              HasSubstr("train: 2 examples"));
  EXPECT_THAT(said({"--train_file", file("w.tsv", "text\tlabel\n\"a\"\tx\nc\ty\n")}), HasSubstr("1 cells stand in quotes"));
  EXPECT_THAT(said({"--train_file", file("m.txt", "label|text\nx|\"a\ny|b\n"), "--delimiter", "|", "--quoting", "none"}),
              HasSubstr("train: 2 examples"));
  EXPECT_THAT(refused(3, {"--train_file", file("m.csv", "label;text\nx;a\n")}), HasSubstr("--delimiter \";\""));
}

TEST_F(DataLines, SeveralFilesAndAPartThatValidates) {
  std::string first = "text,label\n", second = first;
  for (int i = 0; i < 10; ++i) (i % 2 == 0 ? first : second) += str("row ", i, ",", i < 6 ? "a" : "b", "\n");
  const std::string lines =
      said({"--train_file", file("one, first.csv", first), file("two.csv", second), "--validation_split", "0.2", "--do_eval"});
  EXPECT_THAT(lines, AllOf(HasSubstr("train: 8 examples (a 5, b 3)\n"), HasSubstr("validation: 2 examples (a 1, b 1)\n")));
  const auto usage = [&](Words more) { return refused(2, more); };
  EXPECT_THAT(usage({"--train_file", file("one.csv", first), "--validation_split", "1"}),
              HasSubstr("a share above 0 and below 1"));
  EXPECT_THAT(
      usage({"--train_file", file("one.csv", first), "--validation_split", "0.5", "--validation_file", file("two.csv", second)}),
      HasSubstr("--validation_split"));
}

TEST_F(DataLines, ClassWeightsNeedAHead) {
  const std::string rows = file("a.csv", "text,label\na,x\nb,y\nc,y\n");
  EXPECT_THAT(refused(2, {"--train_file", rows, "--class_weights", "balanced"}), HasSubstr("a classification head"));
  EXPECT_EQ(train({"--train_file", rows, "--class_weights", "balanced", "--task_type", "SEQ_CLS"}).code, 0);
  EXPECT_THAT(refused(3, {"--train_file", rows, "--task_type", "SEQ_CLS", "--class_weights", file("w.json", R"({"x": 1})")}),
              HasSubstr("none for \"y\""));
}

TEST_F(DataLines, OneAnswerToEverythingIsPointedOut) {
  const std::string rows = file("a.csv", "text,label\na,x\nb,y\nc,y\n");
  EXPECT_THAT(
      said({"--train_file", rows, "--validation_file", rows, "--do_eval", "--predict_by", "score", "--learning_rate", "0"}),
      HasSubstr("eval: all 3 answers are \""));
  const Outcome predicted =
      run_dept({"predict", "--peft_model_id", out_.string(), "--predict_by", "score", "--threads", "1"}, "\"a\"\n\"a\"\n");
  EXPECT_EQ(predicted.code, 0) << predicted.err;
  EXPECT_THAT(predicted.err, HasSubstr("predict: all 2 answers are \""));
}

}  // namespace
}  // namespace dept
