// What another program does with the published headers, on tiny models; tests/install builds such a program.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dept/dept.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::vector<TextExample> rows = {
    {0, "a warm score", "yes"}, {1, "a cold plot", "no"}, {2, "a fine film", "yes"}, {3, "a dull film", "no"}};
const std::vector<std::string> texts = {"a warm score", "a cold plot", "a fine film", "a dull film"};

class Library : public testing::TestWithParam<std::string> {
 protected:
  Library() {
    const fs::path data = DEPT_TEST_DATA;
    fs::copy(data / "parity/data/models" / GetParam(), scratch_ / "model");
    for (const char* name : {"tokenizer.json", "tokenizer_config.json"})
      fs::copy_file(data / "recipe/tiny" / name, scratch_ / "model" / name, fs::copy_options::overwrite_existing);
    source_.model_name_or_path = (scratch_ / "model").string();
    source_.threads = 1;
    prompt_.prefix_length = 4;
    prompt_.r = 2;
    data_.max_seq_length = 32;
    data_.task.labels = {"no", "yes"};
  }

  Scratch scratch_;
  ModelOptions source_;
  AdapterOptions prompt_;
  DataOptions data_;
};
INSTANTIATE_TEST_SUITE_P(Families, Library, testing::Values("llama-gqa-tied", "t5-v1.0", "bert"),
                         [](const auto& test) { return test.param.substr(0, test.param.find('-')); });

TEST_P(Library, TrainsSavesAndUsesAPrompt) {
  AdaptedModel model = AdaptedModel::create(source_, prompt_, data_);
  TrainingOptions options;
  options.optimizer.learning_rate = 0.3;
  options.optimizer.lora_embedding_lr = 0.01;
  options.schedule.max_steps = 150;
  const double before = model.loss(rows);
  int64_t steps = 0;
  train(model, rows, options, [&](const TrainingProgress& now) {
    EXPECT_EQ(now.step, ++steps);
    EXPECT_EQ(now.steps, 150);
    return true;
  });
  EXPECT_EQ(steps, 150);
  const double after = model.loss(rows);
  const bool slow = GetParam() == "t5-v1.0";  // its logits are small: 150 steps do not tell the rows apart
  EXPECT_LT(after, (slow ? 0.9 : 0.5) * before);
  model.save(scratch_ / "adapter");

  source_.peft_model_id = (scratch_ / "adapter").string();
  AdaptedModel saved = AdaptedModel::load(source_);
  EXPECT_NEAR(saved.loss(rows), after, 1e-5);
  std::vector<std::string> said;
  for (const Prediction& prediction : saved.predict(texts)) said.push_back(prediction.text);
  if (!slow) {
    EXPECT_THAT(said, ElementsAre("yes", "no", "yes", "no"));
  }
  if (GetParam() == "bert") {
    EXPECT_EQ(saved.logits(texts).sizes(), (at::IntArrayRef{4, 2}));
  } else {
    const std::vector<std::string> answers = {"no", "yes"};
    for (size_t i = 0; i < texts.size(); ++i) {
      const LabelNll score = saved.score(texts, answers)[i];
      EXPECT_EQ(score.nll[0] < score.nll[1], said[i] == "no");
    }
    GenerationOptions few;
    few.max_new_tokens = 3;
    EXPECT_EQ(saved.generate(texts, few).size(), texts.size());
    EXPECT_THROW(saved.logits(texts), Error);
  }
}

TEST_P(Library, ATrainingEndsWhereItsCallerSays) {
  AdaptedModel model = AdaptedModel::create(source_, prompt_, data_);
  int64_t steps = 0;
  train(model, rows, {}, [&](const TrainingProgress& now) { return (steps = now.step) < 2; });
  EXPECT_EQ(steps, 2);
}

TEST_P(Library, AModelThatAnswersWithWhatItsPromptAmountsToIsNotTrained) {
  prompt_.peft_type = "ULPT";
  AdaptedModel::create(source_, prompt_, data_).save(scratch_ / "adapter");
  source_.peft_model_id = (scratch_ / "adapter").string();
  AdaptedModel answers = AdaptedModel::load(source_);
  const auto refusal = [](auto call) {
    try {
      call();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::usage);
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_THAT(refusal([&] { train(answers, rows, {}); }), HasSubstr("[train] expected a model that is created or loaded"));
  EXPECT_THAT(refusal([&] { answers.save(scratch_ / "other"); }), HasSubstr("[save] expected a model that is created or loaded"));
  EXPECT_FALSE(fs::exists(scratch_ / "other"));
  EXPECT_THAT(refusal([&] { AdaptedModel::create(source_, prompt_, data_); }), HasSubstr("[peft_model_id] expected none"));
  AdaptedModel again = AdaptedModel::load(source_, {}, ModelUse::training);
  train(again, rows, {}, [](const TrainingProgress&) { return false; });
}

}  // namespace
}  // namespace dept
