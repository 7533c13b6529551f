// Images beside texts from outside: training, going on, evaluation and answers, and what is refused in one line.
#include <gmock/gmock.h>

#include <algorithm>

#include "cli/program.h"
#include "cli/tiny_training.h"
#include "dept/base/json.h"
#include "dept/base/text.h"

namespace dept {
namespace test_images {

using ::testing::HasSubstr;
using ::testing::Not;
using Words = std::vector<std::string>;

const fs::path images = fs::path(DEPT_TEST_DATA) / "recipe/images";

class Images : public ::testing::Test {
 protected:
  Images() { put_tiny_model(model_); }

  Words command(const fs::path& out, const Words& more = {}, const std::string& train = images / "train.csv") const {
    Words flags = typed(
        "train --do_train --predict_by score --labels red blue green --prefix_length 2 --r 2 --max_seq_length 48"
        " --learning_rate 0.05 --visual_learning_rate 0.3 --per_device_train_batch_size 12 --max_steps 120 --save_steps 60"
        " --threads 1 --visual patches:4:8",
        {"--causal_suffix", " :", "--train_file", train, "--model_name_or_path", model_, "--output_dir", out});
    flags.insert(flags.end(), more.begin(), more.end());
    return flags;
  }
  Json results(const fs::path& run) const { return read_json(run / "test_results.json"); }

  // The file of rows that `change` makes of the training data.
  std::string rows(const std::string& name, const std::string& from, const std::string& to) const {
    std::string text = read_file(images / "train.csv");
    for (size_t at = 0; (at = text.find(".png", at)) != std::string::npos;) {
      const size_t begin = text.rfind(',', at) + 1;
      text.insert(begin, images.string() + "/");
      at += images.string().size() + 5;
    }
    const size_t at = text.find(from);
    return scratch_.write(name, text.replace(at, from.size(), to)).string();
  }
  std::string refused(int code, const Words& more, const std::string& train = images / "train.csv") const {
    return expect_one_line(run_dept(command(scratch_ / "refused", more, train)), code);
  }

  // A second run, half of it, then the rest from its checkpoint: the bytes of the first.
  void expect_to_go_on(const fs::path& run, const Words& tests) const {
    const fs::path again = scratch_ / "again";
    ASSERT_EQ(run_dept(command(again, tests)).code, 0);
    EXPECT_EQ(read_file(run / "adapter_model.safetensors"), read_file(again / "adapter_model.safetensors"));
    fs::remove_all(again / "checkpoint-120");
    for (const auto& entry : fs::directory_iterator(again))
      if (entry.is_regular_file() && entry.path().filename() != "run.json") fs::remove(entry.path());
    Json marker = read_json(again / "run.json");
    marker["finished"] = false;
    write_atomic(again / "run.json", marker.dump());
    const Outcome resumed = run_dept(command(again, tests));
    ASSERT_EQ(resumed.code, 0) << resumed.err;
    EXPECT_THAT(resumed.err, HasSubstr("checkpoint-60"));
    EXPECT_EQ(read_file(run / "adapter_model.safetensors"), read_file(again / "adapter_model.safetensors"));
  }
  // What a trained adapter answers to each command that takes images.
  void expect_answers(const fs::path& run) const {
    const Outcome judged = run_dept({"eval", "--peft_model_id", run, "--test_file", images / "test.csv"});
    ASSERT_EQ(judged.code, 0) << judged.err;
    EXPECT_NEAR(Json::parse(judged.out)["loss"].get<double>(), results(run)["test_loss"].get<double>(), 1e-6);
    const std::string line = str(R"({"text": "what color is it?", "image": ")", (images / "blue.png").string(), "\"}\n");
    const Outcome answer = run_dept({"predict", "--peft_model_id", run, "--predict_by", "score", "--scores"}, line);
    ASSERT_EQ(answer.code, 0) << answer.err;
    EXPECT_EQ(Json::parse(answer.out)["prediction"], "blue");
    const Outcome table = run_dept({"predict", "--peft_model_id", run, "--input", images / "test.csv"});
    ASSERT_EQ(table.code, 0) << table.err;
    EXPECT_EQ(std::count(table.out.begin(), table.out.end(), '\n'), 12);

    const std::string prompt = str(R"({"prompt": "what color is it? :", "image": ")", (images / "red.png").string(), "\"}\n");
    const Outcome written = run_dept({"generate", "--peft_model_id", run, "--max_new_tokens", "2"}, prompt);
    ASSERT_EQ(written.code, 0) << written.err;
    const std::string pair =
        str(R"({"source": "what color is it?", "target": "red", "image": ")", (images / "red.png").string(), "\"}\n");
    const Outcome scored = run_dept({"score", "--peft_model_id", run}, pair);
    ASSERT_EQ(scored.code, 0) << scored.err;
    EXPECT_LT(Json::parse(scored.out)["loss"].get<double>(), 1);
  }
  void expect_refusals(const fs::path& run) const {
    const auto without_image = [&](const char* name, const char* input) {
      const Outcome outcome = run_dept({name, "--peft_model_id", run}, input);
      EXPECT_EQ(outcome.code, 3) << outcome.err;
      EXPECT_THAT(outcome.err, HasSubstr("expected an image"));
    };
    without_image("predict", "\"what color is it?\"\n");
    without_image("generate", "\"what color is it? :\"\n");
    without_image("score", "{\"source\": \"x\", \"target\": \"red\"}\n");
    EXPECT_THAT(expect_one_line(run_dept({"serve", "--model_name_or_path", model_, "--adapter", str("x=", run.string())}), 2),
                HasSubstr("sees images"));
    EXPECT_THAT(
        expect_one_line(
            run_dept({"export", "--peft_model_id", run, "--to", "prompt_embeds", "--output", scratch_ / "e.safetensors"}), 2),
        HasSubstr("sees images"));
    EXPECT_THAT(expect_one_line(
                    run_dept({"eval", "--peft_model_id", run, "--test_file", images / "test.csv", "--visual", "patches:2:8"}), 3),
                HasSubstr("4 tokens of 48"));
  }

  Scratch scratch_;
  fs::path model_ = scratch_ / "model";
};

TEST_F(Images, TrainEvaluatePredictAndGoOn) {
  const fs::path run = scratch_ / "run", blind = scratch_ / "blind";
  const Words tests = {"--do_predict", "--test_file", images / "test.csv"};
  const Outcome trained = run_dept(command(run, tests));
  ASSERT_EQ(trained.code, 0) << trained.err;
  EXPECT_THAT(trained.err, HasSubstr("of the visual embedding"));
  const Json config = read_json(run / "adapter_config.json");
  EXPECT_EQ(config["visual"]["source"], "patches:4:8");
  EXPECT_EQ(config["visual"]["embedding"], "linear");
  EXPECT_EQ(config["visual"]["tokens"], 4);
  EXPECT_EQ(config["visual"]["channels"], 48);
  EXPECT_EQ(config["task"]["image_column"], "image");
  EXPECT_EQ(read_json(run / "report.json")["visual_parameters"], 48 * 32 + 32 + 4 * 32);
  EXPECT_EQ(results(run)["test_accuracy"], 100) << "the colours cannot be missed";
  ASSERT_EQ(run_dept(command(blind, {"--do_predict", "--test_file", images / "test.csv", "--visual", "none"})).code, 0);
  EXPECT_LT(results(blind)["test_accuracy"].get<double>(), 80) << "the questions do not tell the colour";

  expect_to_go_on(run, tests);
  expect_answers(run);
  expect_refusals(run);
}

TEST_F(Images, WhatCannotBeIsOneLine) {
  EXPECT_THAT(refused(3, {"--image_column", "picture"}), HasSubstr("--image_column names another"));
  EXPECT_THAT(refused(4, {}, rows("missing.csv", "red.png", "rot.png")), HasSubstr("missing.csv:"));
  EXPECT_THAT(refused(3, {}, rows("empty.csv", (images / "red.png").string(), "")), HasSubstr("an image in column"));
  EXPECT_THAT(refused(2, {"--visual", "patches"}), HasSubstr("patches:SIZE:SIDE"));
  EXPECT_THAT(refused(2, {"--visual", "patches:0:8"}), HasSubstr("patches:SIZE:SIDE"));
  EXPECT_THAT(refused(2, {"--visual", "patches:3:8"}), HasSubstr("received"));
  EXPECT_THAT(refused(4, {"--visual", "/nowhere/clip"}), HasSubstr("--visual"));
  EXPECT_THAT(refused(4, {"--visual", "/nowhere/features.h5"}), HasSubstr("--visual"));
  EXPECT_THAT(refused(2, {"--original_quirks"}), HasSubstr("--visual"));
  const fs::path not_an_image = scratch_.write("not.png", "no image");
  EXPECT_THAT(refused(3, {}, rows("broken.csv", (images / "red.png").string(), not_an_image.string())), HasSubstr("not.png"));
  Words blind = command(scratch_ / "refused");
  blind.erase(std::find(blind.begin(), blind.end(), "--visual"), std::find(blind.begin(), blind.end(), "--train_file"));
  blind.insert(blind.end(), {"--image_column", "image"});
  EXPECT_THAT(expect_one_line(run_dept(blind), 2), HasSubstr("--image_column"));
}

// A frozen CLIP and a file of features in front of other models: T5 has VL-Adapter's embedding.
TEST_F(Images, ClipAndFeaturesAreSeenToo) {
  const fs::path data = fs::path(DEPT_TEST_DATA) / "parity/data", run = scratch_ / "clip", t5 = scratch_ / "t5";
  const Outcome clip = run_dept(command(run, {"--visual", data / "vision/clip", "--max_steps", "2"}));
  ASSERT_EQ(clip.code, 0) << clip.err;
  EXPECT_EQ(read_json(run / "adapter_config.json")["visual"]["source"], (data / "vision/clip").string());

  const std::string rows =
      "text,image,label\nwhat is it?,COCO_000000000000.jpg,red\nwhat is it?,COCO_000000000004,blue\nit "
      "is,COCO_000000000009,green\n";
  const std::string file = scratch_.write("rows.csv", rows).string();
  const Words features = {"--visual",
                          data / "vision/features.h5",
                          "--max_steps",
                          "2",
                          "--model_name_or_path",
                          data / "models/t5-v1.0",
                          "--predict_by",
                          "generate"};
  const Outcome seen = run_dept(command(t5, features, file));
  ASSERT_EQ(seen.code, 0) << seen.err;
  const Json config = read_json(t5 / "adapter_config.json");
  EXPECT_EQ(config["visual"]["embedding"], "clip_t5");
  EXPECT_EQ(config["visual"]["tokens"], 36);
  const Outcome judged = run_dept({"eval", "--peft_model_id", t5, "--test_file", file});
  EXPECT_EQ(judged.code, 0) << judged.err;
  const std::string wrong = scratch_.write("wrong.csv", rows + "what is it?,nobody,red\n").string();
  EXPECT_THAT(refused(3, features, wrong), HasSubstr("nobody"));
}

TEST_F(Images, TheNamedTasksWantAVisual) {
  const std::string questions = scratch_.write("q.json", R"({"data_subtype": "train2014", "questions": []})").string();
  const Outcome outcome = run_dept({"train", "--do_train", "--task_name", "vqa", "--train_file", questions,
                                    "--model_name_or_path", model_, "--output_dir", scratch_ / "vqa"});
  EXPECT_THAT(expect_one_line(outcome, 2), HasSubstr("--visual"));
}

// A run of texts alone says nothing of images.
TEST_F(Images, TextsAloneKnowNoImages) {
  const fs::path run = scratch_ / "text";
  const Outcome outcome =
      run_dept(tiny_training(model_, run, {"--train_file", images / "train.csv", "--labels", "red", "blue", "green"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  for (const char* name : {"run.json", "adapter_config.json", "report.json"})
    EXPECT_THAT(read_file(run / name), ::testing::AllOf(Not(HasSubstr("visual")), Not(HasSubstr("image_")))) << name;
}

}  // namespace test_images
}  // namespace dept
