// A classification head through the program: train, eval, predict, and what refuses it.
#include <gtest/gtest.h>

#include "cli/program.h"
#include "cli/tiny_training.h"
#include "dept/base/json.h"

namespace dept {
namespace {

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

class Classify : public ::testing::Test {
 protected:
  Classify() { put_tiny_model(model_); }
  Outcome train(const std::vector<std::string>& more) const {
    std::vector<std::string> flags = {"--task_type", "SEQ_CLS", "--max_steps", "30", "--learning_rate", "0.05"};
    flags.insert(flags.end(), more.begin(), more.end());
    return run_dept(tiny_training(model_, out_, flags));
  }
  std::string file(const char* name) const { return (fs::path(DEPT_TEST_DATA) / "recipe/tiny" / name).string(); }

  Scratch scratch_;
  const fs::path model_ = scratch_ / "model", out_ = scratch_ / "out";
};

TEST_F(Classify, TrainsEvaluatesAndPredicts) {
  const Outcome trained = train({"--train_file", file("train.csv"), "--test_file", file("train.csv"), "--do_predict",
                                 "--max_steps", "80", "--head_learning_rate", "0.1"});
  ASSERT_EQ(trained.code, 0) << trained.err;
  const Json config = read_json(out_ / "adapter_config.json");
  EXPECT_EQ(config["task_type"], "SEQ_CLS");
  EXPECT_EQ(config["pooling"], "last");
  const Json results = Json::parse(trained.out);
  EXPECT_GE(results["test_accuracy"].get<double>(), 80) << "of the very rows that it learned";

  const Outcome evaluated = run_dept({"eval", "--peft_model_id", out_.string(), "--test_file", file("train.csv")});
  ASSERT_EQ(evaluated.code, 0) << evaluated.err;
  const Json metrics = Json::parse(evaluated.out);
  EXPECT_EQ(metrics["accuracy"], results["test_accuracy"]);
  EXPECT_NEAR(metrics["loss"].get<double>(), results["test_loss"].get<double>(), 1e-6);

  const Outcome predicted =
      run_dept({"predict", "--peft_model_id", out_.string(), "--scores"}, "\"a fine film\"\n{\"source\": \"a dull film\"}\n");
  ASSERT_EQ(predicted.code, 0) << predicted.err;
  const Json line = Json::parse(predicted.out.substr(0, predicted.out.find('\n')));
  double sum = 0;
  for (const auto& [label, share] : line["scores"].items()) sum += share.get<double>();
  EXPECT_NEAR(sum, 1, 1e-9);
  const std::string other = line["prediction"] == "yes" ? "no" : "yes";
  EXPECT_GT(line["scores"][line["prediction"].get<std::string>()], line["scores"][other]);

  for (const char* command : {"generate", "score"})
    EXPECT_HAS(expect_one_line(run_dept({command, "--peft_model_id", out_.string()}, "{}\n"), 2), "classification head");
  EXPECT_HAS(expect_one_line(
                 run_dept({"eval", "--peft_model_id", out_.string(), "--test_file", file("test.csv"), "--labels", "yes,no"}), 2),
             "no, yes");
}

TEST_F(Classify, OneNumberIsRegression) {
  std::string table = "text,score\n";
  for (int i = 0; i < 20; ++i) table += i % 2 == 0 ? "a fine film,4.5\n" : "a dull film,0.5\n";
  const std::string path = scratch_.write("scores.csv", table).string();
  const Outcome trained = train({"--train_file", path, "--test_file", path, "--label_column", "score", "--metrics", "pearson",
                                 "--do_predict", "--learning_rate", "0.02", "--max_steps", "40"});
  ASSERT_EQ(trained.code, 0) << trained.err;
  EXPECT_GT(Json::parse(trained.out)["test_pearson"].get<double>(), 90);
  const Outcome predicted = run_dept({"predict", "--peft_model_id", out_.string()}, "\"a fine film\"\n");
  ASSERT_EQ(predicted.code, 0) << predicted.err;
  EXPECT_NEAR(std::stod(Json::parse(predicted.out)["prediction"].get<std::string>()), 4.5, 1.5);
}

TEST_F(Classify, WrongOptionsAreOneLine) {
  const std::string train_file = file("train.csv");
  EXPECT_HAS(expect_one_line(train({"--train_file", train_file, "--pooling", "mean"}), 2), "last");
  EXPECT_HAS(expect_one_line(train({"--train_file", train_file, "--task_type", "SEQ_2_SEQ_LM"}), 2), "CAUSAL_LM");
  EXPECT_HAS(expect_one_line(train({"--train_file", train_file, "--task_type", "CAUSAL_LM", "--pooling", "last"}), 2), "SEQ_CLS");
  const std::string words = scratch_.write("words.csv", "text,target\na,1\nb,two\n").string();
  EXPECT_HAS(expect_one_line(train({"--train_file", words}), 3), "a number");
}

}  // namespace
}  // namespace dept
