// The methods beside DePT through the program: trained, evaluated, used, exported; what does not fit is named.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "cli/lines_of.h"
#include "cli/program.h"
#include "cli/tiny_training.h"

namespace dept {
namespace {

using testing::HasSubstr;
using Words = std::vector<std::string>;

// The header of a .safetensors file: names, types and shapes.
Json header_of(const fs::path& file) {
  const std::string bytes = read_file(file);
  uint64_t size = 0;
  std::memcpy(&size, bytes.data(), sizeof size);
  return Json::parse(bytes.substr(sizeof size, size));
}

class Method : public testing::TestWithParam<const char*> {
 protected:
  Method() { put_tiny_model(base_); }
  Outcome train(const std::string& type, const fs::path& out, const Words& more = {}) const {
    Words flags = typed(
        "train --do_train --do_eval --max_steps 2 --prefix_length 2 --r 2 --encoder_hidden_size 3 --max_seq_length 24 --threads 1"
        " --learning_rate 0.3 --save_steps 1 --report_to none",
        {"--peft_type", type, "--train_file", rows_, "--validation_file", rows_, "--model_name_or_path", base_, "--output_dir",
         out});
    flags.insert(flags.end(), more.begin(), more.end());
    return run_dept(flags);
  }

  Scratch scratch_;
  const fs::path base_ = scratch_ / "model", out_ = scratch_ / "out";
  const std::string rows_ =
      scratch_.write("rows.csv", "text,label\na fine film,yes\na dull film,no\na good film,yes\na bad film,no\n").string();
};

TEST_P(Method, TrainsEvaluatesAnswersAndIsExported) {
  const std::string type = GetParam();
  const Outcome trained = train(type, out_);
  ASSERT_EQ(trained.code, 0) << trained.err;
  EXPECT_EQ(read_json(out_ / "adapter_config.json")["peft_type"], type);
  const std::string evaluated = read_json(out_ / "eval_results.json")["eval_loss"].dump();

  const Words adapter{"--peft_model_id", out_.string(), "--threads", "1"};
  Words eval{"eval", "--test_file", rows_};
  eval.insert(eval.end(), adapter.begin(), adapter.end());
  const Outcome again = run_dept(eval);
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_NEAR(Json::parse(again.out)["loss"].get<double>(), std::stod(evaluated), 1e-5)
      << "what is kept of the adapter evaluates as the adapter in training did";

  const fs::path file = scratch_ / "texts.safetensors", folder = scratch_ / "exported";
  Words embeds{"export", "--to", "prompt_embeds", "--output", file.string()};
  embeds.insert(embeds.end(), adapter.begin(), adapter.end());
  const Outcome texts = run_dept(embeds, "\"a fine film\"\n{\"source\": \"film\"}\n");
  ASSERT_EQ(texts.code, 0) << texts.err;
  const Json tensors = header_of(file);
  ASSERT_TRUE(tensors.contains("0") && tensors.contains("1") && !tensors.contains("2"));
  EXPECT_EQ(tensors["0"]["shape"][1], 32);
  EXPECT_GT(tensors["0"]["shape"][0], 3) << "two tokens of a prompt, and the text's";

  Words prompt{"export", "--to", "prompt_tuning", "--output", folder.string()};
  prompt.insert(prompt.end(), adapter.begin(), adapter.end());
  const Outcome exported = run_dept(prompt);
  if (type == "PROMPT_TUNING_LORA" || type == "ADEPT") {
    EXPECT_EQ(exported.code, 2);
    EXPECT_THAT(exported.err, HasSubstr("changes the word embeddings"));
    EXPECT_FALSE(fs::exists(folder));
  } else {
    ASSERT_EQ(exported.code, 0) << exported.err;
    EXPECT_EQ(read_json(folder / "adapter_config.json")["peft_type"], "PROMPT_TUNING");
    EXPECT_EQ(header_of(folder / "adapter_model.safetensors")["prompt_embeddings"]["shape"], (Json{2, 32}));
  }
}

// One step, then a second by the same command: as two at once.
TEST_P(Method, GoesOnFromItsCheckpoint) {
  const std::string type = GetParam();
  const fs::path other = scratch_ / "other";
  ASSERT_EQ(train(type, out_).code, 0);
  ASSERT_EQ(train(type, other, {"--max_steps", "1", "--lr_scheduler_type", "constant"}).code, 0);
  const Outcome resumed =
      train(type, other, {"--max_steps", "2", "--lr_scheduler_type", "constant", "--resume_from_checkpoint", "true"});
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  const fs::path whole = scratch_ / "whole";
  ASSERT_EQ(train(type, whole, {"--lr_scheduler_type", "constant"}).code, 0);
  const char* name = "adapter_model.safetensors";
  EXPECT_EQ(read_file(other / name), read_file(whole / name));
}

INSTANTIATE_TEST_SUITE_P(All, Method,
                         testing::Values("PROMPT_TUNING_LORA", "PROMPT_TUNING", "ADEPT", "ULPT", "DPT", "RESIDUAL_PROMPT",
                                         "P_TUNING"),
                         [](const auto& info) { return std::string(info.param); });

class OneMethod : public Method {};
INSTANTIATE_TEST_SUITE_P(Of, OneMethod, testing::Values("ULPT"));

TEST_P(OneMethod, NamesWhatItDoesNotUseAndRefusesWhatDoesNotFit) {
  const Outcome idle = train("ULPT", out_, {"--lora_embedding_lr", "0.01", "--adapter_dropout", "0.5"});
  ASSERT_EQ(idle.code, 0) << idle.err;
  EXPECT_THAT(idle.err, HasSubstr("--lora_embedding_lr has no effect: --peft_type ULPT"));
  EXPECT_THAT(idle.err, HasSubstr("--adapter_dropout has no effect: --peft_type ULPT"));
  EXPECT_EQ(train("ULPT", scratch_ / "a", {"--r", "0"}).code, 2);
  const Outcome quirks = train("ADEPT", scratch_ / "b", {"--original_quirks"});
  EXPECT_EQ(quirks.code, 2);
  EXPECT_THAT(quirks.err, HasSubstr("--peft_type"));
  const Outcome unknown = train("LORA", scratch_ / "c");
  EXPECT_EQ(unknown.code, 2);
  EXPECT_THAT(unknown.err, HasSubstr("P_TUNING"));
  EXPECT_EQ(train("ULPT", scratch_ / "d", {"--backbone_dropout", "0.1"}).code, 2);
  EXPECT_EQ(train("ULPT", scratch_ / "e", {"--backbone_dropout", "0"}).code, 0);
}

}  // namespace
}  // namespace dept
