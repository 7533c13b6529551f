// Models that are broken or mean harm, through the program: one line that names the place, and little memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/program.h"
#include "dept/base/json.h"
#include "unit/tensorio/build.h"

namespace dept {
namespace {

using testing::HasSubstr;

class HostileModels : public testing::Test {
 protected:
  HostileModels() { fs::copy(fs::path(DEPT_TEST_DATA) / "parity/data/models/llama-gqa-tied", model_); }

  /// The line that the program ends with, having read as much of the model as it does before it answers.
  static std::string refused(const fs::path& model) {
    const Outcome outcome = run_dept({"generate", "--model_name_or_path", model.string()}, "{\"input_ids\": [5]}\n");
    EXPECT_LT(outcome.peak_bytes, 1'000'000'000);
    return expect_one_line(outcome, 3);
  }
  /// The same for a tiny Llama whose file had `from` in it, and has `to` of the same length.
  std::string refused_weights(std::string_view from, std::string_view to) const {
    std::string bytes = read_file(weights_);
    const size_t at = bytes.find(from);
    EXPECT_NE(at, bytes.npos) << from;
    EXPECT_EQ(from.size(), to.size());
    write_atomic(weights_, bytes.replace(at, to.size(), to));
    return refused(model_);
  }
  std::string refused_config(const Json& change) const {
    Json config = read_json(fs::path(DEPT_TEST_DATA) / "parity/data/models/llama-gqa-tied/config.json");
    config.update(change);
    write_atomic(model_ / "config.json", config.dump());
    return refused(model_);
  }
  std::string refused_gguf(const std::string& bytes) const { return refused(scratch_.write("bad.gguf", bytes)); }

  const Scratch scratch_;
  const fs::path model_ = scratch_ / "model", weights_ = model_ / "model.safetensors";
  static constexpr uint64_t huge = uint64_t{1} << 60;
};

TEST_F(HostileModels, NotANumber) {
  std::string bytes = read_file(weights_);
  bytes.replace(bytes.size() - 4, 4, raw(std::numeric_limits<float>::quiet_NaN()));
  write_atomic(weights_, bytes);
  EXPECT_THAT(refused(model_), HasSubstr("finite numbers"));
}

TEST_F(HostileModels, MissingTensor) {
  EXPECT_THAT(refused_weights("model.norm.weight", "model.nrom.weight"), HasSubstr("model.norm.weight"));
}

TEST_F(HostileModels, DuplicateKey) {
  EXPECT_THAT(refused_weights("model.layers.0.input_layernorm.weight", "model.layers.1.input_layernorm.weight"),
              HasSubstr("model.layers.1.input_layernorm.weight"));
}

TEST_F(HostileModels, ShapesThatDoNotFitTheConfiguration) {
  EXPECT_THAT(refused_config({{"intermediate_size", 47}}), HasSubstr("47"));
  EXPECT_THAT(refused_config({{"vocab_size", 97}}), HasSubstr("97"));
  EXPECT_THAT(refused_config({{"num_hidden_layers", 3}}), HasSubstr("model.layers.2"));
}

TEST_F(HostileModels, SizesWithoutMeasure) {
  for (const char* key : {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
                          "vocab_size", "max_position_embeddings", "head_dim"}) {
    if (key != std::string("max_position_embeddings")) {
      EXPECT_THAT(refused_config({{key, huge}}), HasSubstr("config.json")) << key;
    }
    EXPECT_THAT(refused_config({{key, -1}}), HasSubstr(key));
    EXPECT_THAT(refused_config({{key, "many"}}), HasSubstr(key));
  }
}

TEST_F(HostileModels, ShardsElsewhere) {
  fs::remove(weights_);
  for (const char* name : {"../model.safetensors", "..", "/etc/passwd", "a/b.safetensors"}) {
    write_atomic(model_ / "model.safetensors.index.json", Json{{"weight_map", {{"model.norm.weight", name}}}}.dump());
    EXPECT_THAT(refused(model_), HasSubstr("the name of a file in the same folder")) << name;
  }
}

TEST_F(HostileModels, ArraysOf2To60) {
  const std::string key = gguf_string("tokenizer.ggml.tokens");
  EXPECT_THAT(refused_gguf(gguf_front(0, 1) + key + raw<uint32_t>(9) + raw<uint32_t>(8) + raw(huge)),
              HasSubstr("received 1152921504606846976 values"));
  EXPECT_THAT(refused_gguf(gguf_front(huge, 0)), HasSubstr("tensor 1 of"));
}

TEST_F(HostileModels, JsonWithoutEnd) {
  write_atomic(model_ / "config.json", std::string(1'000'000, '['));
  EXPECT_THAT(refused(model_), HasSubstr("config.json"));
  fs::copy_file(fs::path(DEPT_TEST_DATA) / "parity/data/models/llama-gqa-tied/config.json", model_ / "config.json",
                fs::copy_options::overwrite_existing);
  write_atomic(model_ / "tokenizer.json", std::string(1'000'000, '['));
  EXPECT_THAT(refused(model_), HasSubstr("tokenizer.json"));
}

}  // namespace
}  // namespace dept
