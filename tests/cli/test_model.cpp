#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/program.h"
#include "dept/base/json.h"

namespace dept {
namespace test_model {

using testing::HasSubstr;

const fs::path data = fs::path(DEPT_TEST_DATA) / "parity/data";

Json show(const fs::path& path) {
  const Outcome outcome = run_dept({"model", "show", path.string(), "--json"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  return parse_json(outcome.out, "model show");
}

TEST(ModelShow, WeightFiles) {
  const Json plain = show(data / "tensorio/plain.safetensors");
  EXPECT_EQ(plain["kind"], "safetensors");
  EXPECT_EQ(plain["tensors"], 15);
  EXPECT_EQ(plain["bytes"], 351);
  EXPECT_EQ(plain["by_dtype"]["F32"], parse_json(R"({"tensors":4,"parameters":17,"bytes":68})", ""));
  const Json types = show(data / "tensorio/types.gguf");
  EXPECT_EQ(types["kind"], "gguf");
  EXPECT_EQ(types["model_type"], "test");
  EXPECT_EQ(types["by_dtype"]["Q4_1"], parse_json(R"({"tensors":1,"parameters":1536,"bytes":960})", ""));
}

TEST(ModelShow, Folders) {
  const Json model = show(data / "models/t5-v1.0");
  EXPECT_EQ(model["kind"], "model");
  EXPECT_EQ(model["model_type"], "t5");
  EXPECT_EQ(model["hidden_size"], 32);
  EXPECT_EQ(model["vocab_size"], 96);
  const Json adapter = show(data / "adapter/original");
  const Json config = read_json(data / "adapter/original/adapter_config.json");
  EXPECT_EQ(adapter["kind"], "adapter");
  EXPECT_EQ(adapter["peft_type"], "PROMPT_TUNING_LORA");
  for (const char* key : {"r", "num_virtual_tokens", "max_length", "token_dim", "base_model_name_or_path"})
    EXPECT_EQ(adapter[key], config[key]) << key;
}

// The hash is the one of Python's values: hashlib.sha256(gguf.quants.dequantize(...).tobytes()).
TEST(ModelShow, Tensors) {
  const Outcome plain = run_dept({"model", "show", (data / "tensorio/types.gguf").string(), "--tensors"});
  EXPECT_EQ(plain.out.substr(0, plain.out.find('\n')), R"({"name":"tensor.F32","dtype":"F32","shape":[2,3,256]})");
  const Outcome hashed = run_dept({"model", "show", (data / "tensorio/types.gguf").string(), "--tensors", "--hash"});
  EXPECT_THAT(
      hashed.out,
      HasSubstr(
          R"({"name":"tensor.Q6_K","dtype":"Q6_K","shape":[3,256],"sha256":"b61d13edd828cd199085322036bbf3c3ccb9f028017c8d51601cfc68c85825cb"})"));
}

TEST(ModelShow, TableForPeople) {
  const Outcome outcome = run_dept({"model", "show", (data / "models/llama-gqa-tied").string()});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, testing::MatchesRegex("(.|\n)*parameters +[0-9]+,[0-9]+\n(.|\n)*"));
}

TEST(ModelShow, RefusesInOneLine) {
  const Scratch folder;
  EXPECT_THAT(expect_one_line(run_dept({"model"}), 2), HasSubstr("[dept model] expected show"));
  EXPECT_THAT(expect_one_line(run_dept({"model", "shwo"}), 2), HasSubstr("received \"shwo\""));
  EXPECT_THAT(expect_one_line(run_dept({"model", "show"}), 2), HasSubstr("a file or a folder"));
  EXPECT_THAT(expect_one_line(run_dept({"model", "show", "x", "--hash"}), 2), HasSubstr("--tensors"));
  expect_one_line(run_dept({"model", "show", (folder / "absent").string()}), 4);
  expect_one_line(run_dept({"model", "show", folder.path().string()}), 4);
  expect_one_line(run_dept({"model", "show", folder.write("short.gguf", "GGUF\3").string()}), 3);
  expect_one_line(run_dept({"model", "show", folder.write("huge.safetensors", std::string(7, '\0') + "\x10{}").string()}), 3);
  folder.write("config.json", "{");
  expect_one_line(run_dept({"model", "show", folder.path().string()}), 3);
}

}  // namespace test_model
}  // namespace dept
