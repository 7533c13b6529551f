// What goes wrong is one line with the right exit code, said before the model is loaded, and leaves nothing behind.
#include <gtest/gtest.h>

#include <algorithm>

#include "cli/program.h"
#include "cli/tiny_training.h"

namespace dept {
namespace {

class BadInput : public ::testing::Test {
 protected:
  BadInput() {
    put_tiny_model(model_);
    scratch_.write("good.csv", "text,label\na fine film,yes\na dull film,no\n");
  }
  std::vector<std::string> train(std::vector<std::string> more) const {
    std::vector<std::string> flags = {"train", "--do_train", "--max_steps",      "2", "--prefix_length", "2",
                                      "--r",   "1",          "--max_seq_length", "24"};
    const auto with_default = [&](const std::string& flag, const fs::path& value) {
      if (std::find(more.begin(), more.end(), flag) == more.end()) more.insert(more.end(), {flag, value.string()});
    };
    with_default("--model_name_or_path", model_);
    with_default("--train_file", scratch_ / "good.csv");
    with_default("--output_dir", out_);
    flags.insert(flags.end(), more.begin(), more.end());
    return flags;
  }
  /// The line that `dept train ...` ends with.
  std::string refused(int code, std::vector<std::string> more) const {
    const std::string line = expect_one_line(run_dept(train(std::move(more))), code);
    EXPECT_FALSE(fs::exists(out_)) << "nothing may be left behind";
    return line;
  }
  std::string refused_csv(int code, std::string_view content, std::vector<std::string> more = {}) const {
    more.insert(more.end(), {"--train_file", scratch_.write("bad.csv", content).string()});
    return refused(code, more);
  }

  Scratch scratch_;
  const fs::path model_ = scratch_ / "model", out_ = scratch_ / "out";
};

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST_F(BadInput, AGoodRunIsNotRefused) {
  const Outcome outcome = run_dept(train({}));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_TRUE(fs::exists(out_ / "adapter_model.safetensors"));
}

TEST_F(BadInput, SaveSafetensorsFalseWritesTorchsForm) {
  ASSERT_EQ(run_dept(train({"--save_safetensors", "false"})).code, 0);
  EXPECT_FALSE(fs::exists(out_ / "adapter_model.safetensors"));
  const Outcome shown = run_dept({"model", "show", "--tensors", out_.string()});
  EXPECT_HAS(shown.out, "prompt_encoder.lora_embedding_B");
}

TEST_F(BadInput, MissingFile) {
  EXPECT_HAS(refused(4, {"--train_file", "nowhere.csv"}), "nowhere.csv");
}
TEST_F(BadInput, GgufStorageOfAFolder) {
  EXPECT_HAS(refused(2, {"--backbone_dtype", "gguf"}), "for a model that is not a .gguf file");
}
TEST_F(BadInput, MissingModel) {
  EXPECT_HAS(refused(4, {"--model_name_or_path", "t5-base"}), "t5-base");
}
TEST_F(BadInput, EmptyCsv) {
  refused_csv(3, "");
}
TEST_F(BadInput, CsvWithoutRows) {
  refused_csv(3, "text,label\n");
}
TEST_F(BadInput, WrongColumn) {
  EXPECT_HAS(refused_csv(3, "words,label\na,yes\n"), "\"text\"");
}
TEST_F(BadInput, LabelOutsideTheSet) {
  EXPECT_HAS(refused_csv(3, "text,label\na,yes\nb,maybe\n", {"--labels", "no", "yes"}), "bad.csv:3");
}
TEST_F(BadInput, BrokenUtf8) {
  EXPECT_HAS(refused_csv(3, "text,label\na,yes\n\xff\xfe,no\n"), "bad.csv:3");
}
TEST_F(BadInput, UnknownFlag) {
  EXPECT_HAS(refused(2, {"--learing_rate", "0.1"}), "learning_rate");
}
TEST_F(BadInput, UnknownTask) {
  EXPECT_HAS(refused(2, {"--task_name", "sst22"}), "nearest is sst2");
}
TEST_F(BadInput, TooLongForTheModel) {
  EXPECT_HAS(refused(2, {"--prefix_length", "120"}), "128");
}

TEST_F(BadInput, PromptOfADecoderAlone) {
  EXPECT_HAS(refused(2, {"--num_transformer_submodules", "2"}), "num_transformer_submodules");
  EXPECT_HAS(refused(2, {"--num_transformer_submodules", "3"}), "num_transformer_submodules");
}

TEST_F(BadInput, AllProblemsAtOnce) {
  const std::string line = refused(4, {"--train_file", "nowhere.csv", "--model_name_or_path", "no-model"});
  EXPECT_HAS(line, "nowhere.csv");
  EXPECT_HAS(line, "no-model");
}

TEST_F(BadInput, TruncatedSafetensors) {
  const std::string bytes = read_file(model_ / "model.safetensors");
  for (const size_t length : {size_t{4}, size_t{100}, bytes.size() - 1}) {
    write_atomic(model_ / "model.safetensors", bytes.substr(0, length));
    EXPECT_HAS(expect_one_line(run_dept(train({})), 3), "model.safetensors");
    EXPECT_FALSE(fs::exists(out_ / "adapter_model.safetensors"));
    fs::remove_all(out_);
  }
}

TEST_F(BadInput, HeaderOfAnExabyte) {
  std::string bytes = read_file(model_ / "model.safetensors");
  bytes.replace(0, 8, std::string("\0\0\0\0\0\0\0\x10", 8));
  write_atomic(model_ / "model.safetensors", bytes);
  EXPECT_HAS(expect_one_line(run_dept(train({})), 3), "model.safetensors");
}

TEST_F(BadInput, APickleThatRunsSomething) {
  const fs::path hostile = fs::path(DEPT_TEST_DATA) / "parity/data/torch/hostile/os_system.bin";
  fs::remove(model_ / "model.safetensors");
  fs::copy(hostile, model_ / "pytorch_model.bin");
  EXPECT_HAS(expect_one_line(run_dept(train({})), 3), "posix.system");
  EXPECT_FALSE(fs::exists(out_));
  EXPECT_HAS(expect_one_line(run_dept({"model", "show", model_.string()}), 3), "posix.system");
  EXPECT_HAS(expect_one_line(run_dept({"model", "show", hostile.string()}), 3), "posix.system");
  EXPECT_FALSE(fs::exists("dept-ran-a-pickle"));
}

TEST_F(BadInput, TruncatedGguf) {
  const fs::path data = DEPT_TEST_DATA;
  const std::string bytes = read_file(data / "parity/data/tensorio/types.gguf");
  const std::string path = scratch_.write("cut.gguf", std::string_view(bytes).substr(0, bytes.size() / 2)).string();
  EXPECT_HAS(refused(3, {"--model_name_or_path", path}), "cut.gguf");
}

TEST_F(BadInput, AdapterOfAnotherWidth) {
  ASSERT_EQ(run_dept(train({})).code, 0);
  std::string config = read_file(out_ / "adapter_config.json");
  const size_t at = config.find("32", config.find("\"token_dim\""));
  config.replace(at, 2, "64");
  write_atomic(out_ / "adapter_config.json", config);
  const Outcome outcome =
      run_dept({"predict", "--peft_model_id", out_.string(), "--model_name_or_path", model_.string()}, "\"a film\"\n");
  EXPECT_HAS(expect_one_line(outcome, 3), "64");
}

TEST_F(BadInput, UnwritableOutputFolder) {
  scratch_.write("file", "");
  refused(4, {"--output_dir", (scratch_ / "file/out").string()});
}

TEST_F(BadInput, AFolderOfOtherFiles) {
  const Outcome outcome = run_dept(train({"--output_dir", scratch_.path().string()}));
  EXPECT_HAS(expect_one_line(outcome, 2), "--overwrite_output_dir");
  EXPECT_FALSE(fs::exists(scratch_ / "run.json"));
}

TEST_F(BadInput, OtherOptionsForTheSameFolderAreNamed) {
  ASSERT_EQ(run_dept(train({})).code, 0);
  EXPECT_HAS(expect_one_line(run_dept(train({"--learning_rate", "0.5"})), 2), "learning_rate 0.5");
  const Outcome again = run_dept(train({}));
  EXPECT_EQ(again.code, 0);
  EXPECT_HAS(again.err, "nothing to do");
}

TEST_F(BadInput, PredictNamesTheLine) {
  ASSERT_EQ(run_dept(train({"--labels", "no", "yes"})).code, 0);
  const std::vector<std::string> flags = {"predict", "--peft_model_id", out_.string(), "--predict_by", "score", "--scores"};
  const Outcome good = run_dept(flags, "\"a fine film\"\n{\"source\": \"a dull film\"}\n");
  EXPECT_EQ(good.code, 0) << good.err;
  EXPECT_EQ(std::count(good.out.begin(), good.out.end(), '\n'), 2);
  EXPECT_HAS(good.out, "\"scores\":{\"no\":");
  const Outcome bad = run_dept(flags, "\"a fine film\"\nno json\n");
  EXPECT_EQ(bad.code, 3);
  EXPECT_HAS(bad.err, "line 2");
}

}  // namespace
}  // namespace dept
