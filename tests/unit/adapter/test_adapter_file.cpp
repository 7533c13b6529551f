#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "dept/adapter/adapter_file.h"
#include "dept/base/error.h"
#include "dept/base/json.h"
#include "dept/tensorio/tensor_source.h"
#include "support/dept_adapter.h"

namespace dept {
namespace {

using testing::HasSubstr;

class AdapterFile : public testing::Test {
 protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::path(testing::TempDir()) / (std::string("dept_adapter_file_") + test->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    config_.r = 3;
    config_.max_length = 12;
    config_.num_virtual_tokens = 5;
    config_.token_dim = 8;
    config_.lora_alpha = 2.5;
    config_.delta_alignment = DeltaAlignment::start;
    config_.base_model_name_or_path = "some/model";
    config_.task.source_template = "{text} {more}";
    config_.task.causal_suffix = " Label :";
    config_.task.labels = {"neg", "pos"};
    config_.task.label_words = {" negative", " positive"};
    weights_ = dept_alone({at::randn({2, 5, 8}), at::randn({2, 12, 3}), at::randn({2, 3, 8})}, 2.5);
  }
  void TearDown() override { fs::remove_all(folder_); }

  void edit(const std::string& key, const Json& value) {
    Json json = read_json(folder_ / "adapter_config.json");
    json[key] = value;
    if (value.is_discarded()) json.erase(key);
    write_atomic(folder_ / "adapter_config.json", json.dump());
  }
  std::string error(int64_t hidden = 8) {
    try {
      load_adapter(folder_, hidden);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::bad_input) << error.what();
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
      return error.what();
    }
    return "";
  }

  void expect_second(const AdapterWeights& got) const {
    const std::vector<Parameter> all = got.parameters(), expected = weights_.parameters();
    ASSERT_EQ(all.size(), expected.size());
    for (size_t i = 0; i < all.size(); ++i) EXPECT_TRUE(all[i].value[0].equal(expected[i].value[1])) << all[i].name;
  }
  void set_prompt(const at::Tensor& P) { weights_ = dept_alone({P, dept_weights(weights_).A, dept_weights(weights_).B}, 2.5); }

  fs::path folder_;
  AdapterConfig config_;
  AdapterWeights weights_;
};

TEST_F(AdapterFile, ComesBackAsItWasSaved) {
  save_adapter(folder_, config_, weights_, 1);
  const auto [config, weights] = load_adapter(folder_, 8);
  expect_second(weights);
  EXPECT_FALSE(config.original());
  EXPECT_EQ(config.lora_alpha, 2.5);
  EXPECT_EQ(config.max_length, 12);
  EXPECT_EQ(config.delta_alignment, DeltaAlignment::start);
  EXPECT_EQ(config.base_model_name_or_path, "some/model");
  EXPECT_EQ(config.task.source_template, "{text} {more}");
  EXPECT_EQ(config.task.causal_suffix, " Label :");
  EXPECT_EQ(config.task.labels, config_.task.labels);
  EXPECT_EQ(config.task.label_words, config_.task.label_words);
}

TEST_F(AdapterFile, HowItAnswersComesBack) {
  AdapterTask& task = config_.task;
  task.text_column = "sentence";
  task.target_start = "none";
  task.target_end = "eos";
  task.text_pair_column = "more";
  task.label_column = "verdict";
  task.truncate_head = true;
  task.predict_by = "score";
  task.generation_max_length = 7;
  task.generation_num_beams = 3;
  task.max_new_tokens = 5;
  task.dtype = "bf16";
  config_.revision = "v2";
  save_adapter(folder_, config_, weights_);
  const AdapterConfig config = read_adapter_config(folder_);
  EXPECT_EQ(config.task.text_column, "sentence");
  EXPECT_EQ(config.task.target_start, "none");
  EXPECT_EQ(config.task.target_end, "eos");
  EXPECT_EQ(config.task.text_pair_column, "more");
  EXPECT_EQ(config.task.label_column, "verdict");
  EXPECT_TRUE(config.task.truncate_head);
  EXPECT_EQ(config.task.predict_by, "score");
  EXPECT_EQ(config.task.generation_max_length, 7);
  EXPECT_EQ(config.task.generation_num_beams, 3);
  EXPECT_EQ(config.task.max_new_tokens, 5);
  EXPECT_EQ(config.task.dtype, "bf16");
  EXPECT_EQ(config.revision, "v2");
}

TEST_F(AdapterFile, RefusesAnAnswerThatNobodyCanGive) {
  save_adapter(folder_, config_, weights_);
  for (const auto& [name, value] : {std::pair<const char*, Json>{"predict_by", "guess"},
                                    {"target_start", "bos"},
                                    {"target_end", "stop"},
                                    {"dtype", "fp8"},
                                    {"generation_max_length", 0}}) {
    Json task = read_json(folder_ / "adapter_config.json")["task"];
    task[name] = value;
    edit("task", task);
    EXPECT_THAT(error(), HasSubstr(std::string("task: ") + name));
    task.erase(name);
    edit("task", task);
  }
}

TEST_F(AdapterFile, RankZeroAndNoPromptComeBack) {
  config_.r = 0;
  config_.num_virtual_tokens = 0;
  save_adapter(folder_, config_, dept_alone({at::zeros({1, 0, 8}), at::zeros({1, 12, 0}), at::zeros({1, 0, 8})}));
  EXPECT_EQ(dept_weights(load_adapter(folder_, 8).weights).A.sizes(), (at::IntArrayRef{1, 12, 0}));
}

class TwoPrompts : public AdapterFile {
 protected:
  void SetUp() override {
    AdapterFile::SetUp();
    config_.num_transformer_submodules = 2;
    set_prompt(at::randn({2, 10, 8}));
    save_adapter(folder_, config_, weights_);
  }
};

TEST_F(TwoPrompts, ComeBack) {
  const auto [config, weights] = load_adapter(folder_, 8);
  EXPECT_EQ(config.num_virtual_tokens, 5);
  EXPECT_EQ(config.num_transformer_submodules, 2);
  EXPECT_TRUE(dept_weights(weights).P[0].equal(dept_weights(weights_).P[0]));
}

TEST_F(TwoPrompts, NeedAsManyRows) {
  edit("num_transformer_submodules", 1);
  EXPECT_THAT(error(), HasSubstr("prompt_embeddings"));
  set_prompt(dept_weights(weights_).P.narrow(1, 0, 5));
  save_adapter(folder_, config_, weights_);
  EXPECT_THAT(error(), HasSubstr("prompt_embeddings"));
}

// It uses the first rows alone.
TEST_F(TwoPrompts, OfTheOriginalKeepTheDecodersIdle) {
  edit("semantics", Json(Json::value_t::discarded));
  const Adapter adapter = load_adapter(folder_, 8);
  EXPECT_EQ(adapter.weights.input->shape().submodules, 1);
  EXPECT_TRUE(dept_weights(adapter.weights).P[0].equal(dept_weights(weights_).P[0].narrow(0, 0, 5)));
  save_adapter(folder_, adapter.config, adapter.weights);
  EXPECT_TRUE(
      open_safetensors(folder_ / "adapter_model.safetensors")->read("prompt_embeddings").equal(dept_weights(weights_).P[0]));
}

TEST_F(AdapterFile, IsWrittenInTheOriginalsForm) {
  config_.semantics = Semantics::original;
  config_.num_layers = 2;
  config_.num_attention_heads = 4;
  save_adapter(folder_, config_, weights_);
  const Json json = read_json(folder_ / "adapter_config.json");
  EXPECT_FALSE(json.contains("semantics"));
  EXPECT_FALSE(json.contains("task"));
  EXPECT_EQ(json["hidden_size"], 768);
  EXPECT_EQ(json["token_dim"], 8);
  EXPECT_EQ(json["num_layers"], 2);
  EXPECT_TRUE(load_adapter(folder_, 8).config.original());
}

TEST_F(AdapterFile, RefusesAnotherModelsWidth) {
  save_adapter(folder_, config_, weights_);
  EXPECT_EQ(error(16),
            "[" + (folder_ / "adapter_config.json").string() + ": token_dim] expected 16, the width of the model, received 8");
}

TEST_F(AdapterFile, RefusesTensorsThatTheConfigDoesNotDescribe) {
  save_adapter(folder_, config_, weights_);
  edit("max_length", 13);
  EXPECT_THAT(error(), HasSubstr("lora_embedding_A"));
  edit("max_length", 12);
  EXPECT_EQ(error(), "");
  edit("num_virtual_tokens", 4);
  EXPECT_THAT(error(), HasSubstr("prompt_embeddings"));
}

TEST_F(AdapterFile, RefusesWrongFieldsByName) {
  const Json nothing = Json(Json::value_t::discarded);
  const std::vector<std::tuple<std::string, Json, std::string>> cases{
      {"peft_type", "LORA", "\"LORA\""},
      {"peft_type", nothing, "peft_type"},
      {"num_virtual_tokens", -1, "-1"},
      {"num_virtual_tokens", int64_t{1} << 60, "num_virtual_tokens"},
      {"r", nothing, ": r]"},
      {"r", "three", ": r]"},
      {"lora_alpha", nothing, "lora_alpha"},
      {"token_dim", 0, "token_dim"},
      {"semantics", "other", "\"dept-cpp\""},
      {"delta_alignment", "middle", "start or end"},
      {"num_transformer_submodules", 3, "num_transformer_submodules"},
      {"num_transformer_submodules", 0, "num_transformer_submodules"},
      {"task", 3, "object"},
      {"task", Json{{"labels", {"a"}}, {"label_words", {"a", "b"}}}, "label_words"}};
  for (const auto& [key, value, expected] : cases) {
    save_adapter(folder_, config_, weights_);
    edit(key, value);
    EXPECT_THAT(error(), HasSubstr(expected)) << key;
    EXPECT_THAT(error(), HasSubstr("adapter_config.json")) << key;
  }
}

TEST_F(AdapterFile, RefusesNanMissingAndUnknownTensors) {
  dept_weights(weights_).A[0][3][1] = std::numeric_limits<float>::quiet_NaN();
  save_adapter(folder_, config_, weights_);
  EXPECT_THAT(error(), HasSubstr("prompt_encoder.lora_embedding_A"));
  save_safetensors(folder_ / "adapter_model.safetensors", {{"prompt_embeddings", dept_weights(weights_).P[0]},
                                                           {weights_.parameters()[2].name, dept_weights(weights_).B[0]}});
  EXPECT_THAT(error(), HasSubstr("prompt_encoder.lora_embedding_A"));
  save_safetensors(folder_ / "adapter_model.safetensors",
                   {{"prompt_embeddings", dept_weights(weights_).P[0]}, {"other", dept_weights(weights_).P[0]}});
  EXPECT_THAT(error(), HasSubstr("\"other\""));
}

class HeadFile : public AdapterFile {
 protected:
  void SetUp() override {
    AdapterFile::SetUp();
    config_.task_type = "SEQ_CLS";
    config_.pooling = Pooling::mean;
  }
  void set_head(HeadForm form) {
    HeadWeights& head = weights_.head = init_head(form, 2, 8, 1, at::detail::createCPUGenerator(1));
    for (const auto& [name, tensor, shape] : head_tensors(form, 2, 8)) head.*tensor = (head.*tensor).repeat_interleave(2, 0);
  }
};

TEST_F(HeadFile, ComesBackUnderTheForksNames) {
  for (const auto& [form, names] : std::vector<std::pair<HeadForm, std::vector<std::string>>>{
           {HeadForm::score, {"base_model.score.weight"}},
           {HeadForm::classifier, {"base_model.classifier.bias", "base_model.classifier.weight"}},
           {HeadForm::dense,
            {"base_model.classifier.dense.bias", "base_model.classifier.dense.weight", "base_model.classifier.out_proj.bias",
             "base_model.classifier.out_proj.weight"}},
           {HeadForm::pre_classifier,
            {"base_model.pre_classifier.bias", "base_model.pre_classifier.weight", "base_model.classifier.bias",
             "base_model.classifier.weight"}},
           {HeadForm::pooler,
            {"base_model.pooler.dense.bias", "base_model.pooler.dense.weight", "base_model.classifier.bias",
             "base_model.classifier.weight"}}}) {
    set_head(form);
    save_adapter(folder_, config_, weights_, 1);
    std::vector<std::string> stored;
    const auto file = open_safetensors(folder_ / "adapter_model.safetensors");
    for (const TensorInfo& tensor : file->tensors())
      if (tensor.name.rfind("base_model.", 0) == 0) stored.push_back(tensor.name);
    EXPECT_THAT(stored, testing::UnorderedElementsAreArray(names));
    const auto [config, weights] = load_adapter(folder_, 8);
    EXPECT_EQ(config.pooling, Pooling::mean);
    EXPECT_EQ(weights.head.form, form);
    expect_second(weights);
  }
}

TEST_F(HeadFile, RefusesAHeadThatDoesNotFit) {
  set_head(HeadForm::classifier);
  save_adapter(folder_, config_, weights_);
  edit("task_type", "CAUSAL_LM");
  EXPECT_THAT(error(), HasSubstr("SEQ_CLS"));
  save_adapter(folder_, config_, weights_);
  edit("pooling", "middle");
  EXPECT_THAT(error(), HasSubstr("first, cls, mean or last"));
  config_.task.labels = config_.task.label_words = {"a", "b", "c"};
  save_adapter(folder_, config_, weights_);
  EXPECT_THAT(error(), HasSubstr("3 rows, one a label"));
  config_.task.labels = config_.task.label_words = {"a", "b"};
  weights_.head.out_bias = weights_.head.out_bias.narrow(1, 0, 1);
  save_adapter(folder_, config_, weights_);
  EXPECT_THAT(error(), HasSubstr("base_model.classifier.bias"));
  weights_.head = {};
  save_adapter(folder_, config_, weights_);
  EXPECT_THAT(error(), HasSubstr("classification head"));
}

TEST_F(AdapterFile, ReadsHalfPrecisionAsFp32) {
  save_adapter(folder_, config_, weights_);
  NamedTensors half;
  for (const Parameter& parameter : weights_.parameters()) half.emplace_back(parameter.name, parameter.value[0].to(at::kHalf));
  save_safetensors(folder_ / "adapter_model.safetensors", half);
  const Adapter adapter = load_adapter(folder_, 8);
  EXPECT_EQ(dept_weights(adapter.weights).P.scalar_type(), at::kFloat);
  EXPECT_TRUE(dept_weights(adapter.weights).P[0].equal(half[0].second.to(at::kFloat)));
}

TEST_F(AdapterFile, TorchsFormComesBackAndReplacesTheOther) {
  save_adapter(folder_, config_, weights_, 0);
  save_adapter(folder_, config_, weights_, 1, {.safetensors = false});
  EXPECT_FALSE(fs::exists(folder_ / "adapter_model.safetensors"));
  const Adapter adapter = load_adapter(folder_, 8);
  expect_second(adapter.weights);
  save_adapter(folder_, config_, weights_, 0);
  EXPECT_FALSE(fs::exists(folder_ / "adapter_model.bin"));
}

TEST_F(AdapterFile, APromptAloneGetsAFreshDelta) {
  save_adapter(folder_, config_, weights_);
  save_torch_file(folder_ / "adapter_model.bin", {{"prompt_embeddings", dept_weights(weights_).P[0]}});
  fs::remove(folder_ / "adapter_model.safetensors");
  const DeptWeights one = dept_weights(load_adapter(folder_, 8, {.seed = 1}).weights),
                    other = dept_weights(load_adapter(folder_, 8, {.seed = 2}).weights);
  EXPECT_TRUE(one.P[0].equal(dept_weights(weights_).P[0]));
  EXPECT_EQ(one.A.sizes(), (at::IntArrayRef{1, 12, 3}));
  EXPECT_FALSE(one.A.equal(other.A)) << "drawn with the seed";
  EXPECT_TRUE(one.B.equal(at::zeros({1, 3, 8})));
  save_torch_file(folder_ / "adapter_model.bin", {{"prompt_embeddings", dept_weights(weights_).P[0]},
                                                  {weights_.parameters()[1].name, dept_weights(weights_).A[0]}});
  EXPECT_THAT(error(), HasSubstr("prompt_encoder.lora_embedding_B"));
}

TEST_F(AdapterFile, PartsMayBeLeftOut) {
  save_adapter(folder_, config_, weights_);
  const DeptWeights all = dept_weights(load_adapter(folder_, 8, {.seed = 1}).weights);
  const DeptWeights prompt = dept_weights(load_adapter(folder_, 8, {.seed = 1, .embeddings = false}).weights);
  const DeptWeights without_B = dept_weights(load_adapter(folder_, 8, {.seed = 1, .embedding_B = false}).weights);
  EXPECT_TRUE(prompt.P.equal(all.P));
  EXPECT_FALSE(prompt.A.equal(all.A));
  EXPECT_TRUE(prompt.B.equal(at::zeros({1, 3, 8})));
  EXPECT_TRUE(without_B.A.equal(all.A));
  EXPECT_TRUE(without_B.B.equal(at::zeros({1, 3, 8})));

  // The file's own config says the same, and is overruled.
  edit("load_lora_embedding_B", false);
  EXPECT_TRUE(dept_weights(load_adapter(folder_, 8, {.seed = 1}).weights).B.equal(at::zeros({1, 3, 8})));
  EXPECT_TRUE(dept_weights(load_adapter(folder_, 8, {.seed = 1, .embedding_B = true}).weights).B.equal(all.B));
  EXPECT_TRUE(load_adapter(folder_, 8).config.load_lora_embedding_B) << "of what is trained from here on it is to be taken";

  save_adapter(folder_, config_, weights_, 0, {.delta = false});
  EXPECT_EQ(open_safetensors(folder_ / "adapter_model.safetensors")->tensors().size(), 1u);
}

TEST_F(AdapterFile, MissingFilesAreIo) {
  try {
    load_adapter(folder_ / "nowhere", 8);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::io);
  }
}

}  // namespace
}  // namespace dept
