// dept predict: the same answers whatever form the texts come in, and the forms in which they go out.
#include <gmock/gmock.h>

#include "cli/program.h"
#include "cli/tiny_training.h"
#include "dept/base/json.h"
#include "dept/base/text.h"

namespace dept {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using Words = std::vector<std::string>;

class PredictForms : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    shared = new Scratch;
    put_tiny_model(*shared / "model");
    const std::string rows = DEPT_TEST_DATA "/recipe/tiny/train.csv";
    const Outcome trained =
        run_dept(tiny_training(*shared / "model", *shared / "out", {"--labels", "no", "yes", "--train_file", rows}));
    ASSERT_EQ(trained.code, 0) << trained.err;
  }
  static void TearDownTestSuite() { delete shared; }

  static Outcome predict(Words more, std::string_view input = "") {
    Words words = {"predict", "--peft_model_id", (*shared / "out").string(), "--predict_by", "score", "--scores", "--threads",
                   "1"};
    words.insert(words.end(), more.begin(), more.end());
    return run_dept(words, input);
  }
  std::string file(const std::string& name, std::string_view content) const { return scratch_.write(name, content).string(); }

  static Scratch* shared;
  Scratch scratch_;
};
Scratch* PredictForms::shared = nullptr;

TEST_F(PredictForms, EveryFormOfInputGivesTheSameAnswers) {
  const Outcome lines = predict({}, "\"a fine film\"\n\"the dull score\"\n");
  ASSERT_EQ(lines.code, 0) << lines.err;
  EXPECT_THAT(lines.err, HasSubstr("answering is the adapter "));
  EXPECT_THAT(lines.err, HasSubstr("(decomposed prompt of 2 tokens, rank 1) on "));
  const std::string expected = lines.out;
  for (const std::string_view input :
       {"{\"text\": \"a fine film\"}\n{\"source\": \"the dull score\"}\n",
        "{\"source\": \"odd\", \"text\": \"a fine film\"}\n\"the dull score\"\n", "a fine film\nthe dull score\n",
        "a fine film\r\nthe dull score", "[\"a fine film\",\n \"the dull score\"]",
        "[{\"text\": \"a fine film\"}, \"the dull score\"]\n", "{\"data\": [\"a fine film\", \"the dull score\"]}",
        "\xEF\xBB\xBF\"a fine film\"\n\"the dull score\"\n",
        "\xEF\xBB\xBF"
        "a fine film\nthe dull score\n"}) {
    const Outcome outcome = predict({}, input);
    EXPECT_EQ(outcome.out, expected) << input << outcome.err;
  }
  for (const auto& [name, content] :
       {std::pair{"a.txt", "a fine film\nthe dull score\n"},
        {"a.csv", "id,text\n1,a fine film\n2,the dull score\n"},
        {"a.tsv", "text\tlabel\na fine film\tno\nthe dull score\tyes\n"},
        {"a.jsonl", "{\"text\": \"a fine film\"}\n{\"text\": \"the dull score\"}\n"},
        {"a.json", "[\n  {\"text\": \"a fine film\", \"id\": 1},\n  {\"text\": \"the dull score\", \"id\": 2}\n]\n"},
        {"b.json", "{\n  \"data\": [\"a fine film\",\n  \"the dull score\"]\n}\n"},
        {"c.json", "\"a fine film\"\n\"the dull score\"\n"},
        {"no-name", "a fine film\nthe dull score\n"}}) {
    const Outcome outcome = predict({"--input", file(name, content)});
    EXPECT_EQ(outcome.out, expected) << name << outcome.err;
  }
  EXPECT_EQ(predict({"--input_format", "text"}, "\"quoted\" text\n{not json\n").code, 0);
  EXPECT_EQ(predict({"--input_format", "text"}, "a fine film\nthe dull score\n").out, expected);
  EXPECT_EQ(predict({"--source_template", "{adjective} {noun}"},
                    "{\"adjective\": \"a fine\", \"noun\": \"film\"}\n{\"noun\": \"score\", \"adjective\": \"the dull\"}\n")
                .out,
            expected)
      << "an object's keys are the template's columns";
}

TEST_F(PredictForms, ATextALineKeepsEveryLine) {
  const Outcome outcome = predict({}, "5\n\nnull\n[x]\n");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 4);
}

TEST_F(PredictForms, LinesThatCannotBeUsedAreNamed) {
  EXPECT_THAT(predict({}, "\"a\"\nno json\n").err, HasSubstr("stdin: line 2]"));
  EXPECT_THAT(predict({}, "{\"title\": \"a\"}\n").err,
              HasSubstr("stdin: line 1] expected the keys text, or source, received \"title\""));
  EXPECT_THAT(predict({}, "[\"a\", 5]").err, HasSubstr("stdin: row 2]"));
  EXPECT_THAT(predict({}, "{\"text\": [1]}\n").err, HasSubstr("stdin: line 1: text] expected text, received an object or array"));
  EXPECT_THAT(predict({"--text_pair_column", "other"}, "\"a\"\n").err, HasSubstr("\"other\""));
  EXPECT_THAT(predict({}, "a\n\xff\n").err, HasSubstr("line 2] expected UTF-8"));
  EXPECT_THAT(expect_one_line(predict({"--input", "nowhere.txt"}), 4), HasSubstr("nowhere.txt"));
}

TEST_F(PredictForms, ATableOfTheInputsColumnsAndTheAnswers) {
  const std::string input = file("in.csv", "id,text,note\n7,a fine film,\"one, two\"\n8,the dull score,\n");
  const Outcome lines = predict({"--input", input});
  const Json first = Json::parse(lines.out.substr(0, lines.out.find('\n')));
  const std::string output = (scratch_ / "out.csv").string();
  const Outcome outcome = predict({"--input", input, "--output", output});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  const std::string csv = read_file(output);
  EXPECT_THAT(csv, StartsWith("id,text,note,prediction,score_no,score_yes\n"));
  EXPECT_THAT(csv, HasSubstr(str("\n7,a fine film,\"one, two\",", first["prediction"].get<std::string>(), ",",
                                 first["scores"]["no"].dump(), ",", first["scores"]["yes"].dump(), "\n")));
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 3);

  // Through parquet and back.
  const std::string parquet = (scratch_ / "out.parquet").string(), again = (scratch_ / "again.tsv").string();
  ASSERT_EQ(predict({"--input", input, "--output", parquet}).code, 0);
  EXPECT_THAT(predict({"--input", parquet, "--output", again}).err, HasSubstr("no column \"prediction\""));
  EXPECT_FALSE(fs::exists(again));
  EXPECT_EQ(predict({"--input", parquet}).out, lines.out);
}

TEST_F(PredictForms, LinesToATable) {
  const std::string output = (scratch_ / "out.tsv").string();
  EXPECT_THAT(predict({"--output", output}, "a\tb\nc\n").err, HasSubstr("--quoting minimal"));
  ASSERT_EQ(predict({"--output", output, "--quoting", "minimal"}, "a\tb\nc\n").code, 0);
  EXPECT_THAT(read_file(output), StartsWith("text\tprediction\tscore_no\tscore_yes\n\"a\tb\"\t"));
  ASSERT_EQ(predict({"--output", output}, "{\"text\": \"a\", \"id\": 5}\n{\"text\": \"b\", \"id\": null}\n").code, 0);
  EXPECT_THAT(read_file(output), StartsWith("text\tid\tprediction\tscore_no\tscore_yes\na\t5\t"));
  fs::remove(output);
  EXPECT_THAT(predict({"--output", output}, "{\"text\": \"a\", \"id\": 5}\n\"b\"\n").err,
              HasSubstr("line 2] expected the columns of the first row, \"text\", \"id\""));
  EXPECT_FALSE(fs::exists(output)) << "whole or not at all";
  EXPECT_TRUE(std::all_of(
      fs::directory_iterator(scratch_.path()), fs::directory_iterator(),
      [](const fs::directory_entry& entry) { return entry.path().filename().string().find("out") == std::string::npos; }));
  EXPECT_THAT(expect_one_line(predict({"--output", (scratch_ / "none/out.csv").string()}, "a\n"), 4), HasSubstr("--output"));
}

TEST_F(PredictForms, OptionsWithoutEffectAreNamed) {
  const Outcome outcome = predict({"--max_new_tokens", "4", "--eval_steps", "3", "--revision", "x"}, "a\n");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("--max_new_tokens has no effect: --predict_by score writes no text"));
  EXPECT_THAT(outcome.err, HasSubstr("--eval_steps has no effect: dept predict trains and judges nothing"));
  EXPECT_THAT(outcome.err, HasSubstr("--revision has no effect"));
}

TEST_F(PredictForms, EvalSaysWhatIsEvaluatedAndWhatChangesNothing) {
  const std::string rows = file("t.csv", "text,label\na fine film,yes\nthe dull score,no\n");
  const Words flags = typed("eval --labels no yes --threads 1 --max_seq_length 24",
                            {"--model_name_or_path", *shared / "model", "--validation_file", rows});
  Words more = flags;
  more.insert(more.end(), {"--learning_rate", "1", "--max_train_samples", "1", "--max_eval_samples", "1"});
  const Outcome untrained = run_dept(more);
  ASSERT_EQ(untrained.code, 0) << untrained.err;
  EXPECT_EQ(Json::parse(untrained.out)["examples"], 1) << "--max_eval_samples counts";
  EXPECT_THAT(untrained.err, HasSubstr("judged is the untrained model " + (*shared / "model").string()));
  EXPECT_THAT(untrained.err, HasSubstr("--learning_rate has no effect: dept eval trains nothing"));
  EXPECT_THAT(untrained.err, HasSubstr("--max_train_samples has no effect: the validation data are judged"));
  const std::string recipe = file("r.yaml", "learning_rate: 0.1\nprefix_length: 5\neval_strategy: steps\n");
  Words with_recipe = flags;
  with_recipe.insert(with_recipe.begin() + 1, recipe);
  EXPECT_THAT(run_dept(with_recipe).err, testing::Not(HasSubstr("learning_rate"))) << "a recipe serves several commands";
  EXPECT_THAT(run_dept({"eval", "--help"}).out, testing::Not(HasSubstr("--learning_rate")));
  EXPECT_THAT(run_dept({"predict", "--help"}).out, testing::Not(HasSubstr("--eval_steps")));
}

}  // namespace
}  // namespace dept
