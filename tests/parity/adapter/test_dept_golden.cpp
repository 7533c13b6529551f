// DePT against autograd in PyTorch, its inits against torch.nn.init, its files against PEFT (make/adapter.py).
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "dept/adapter/adapter_file.h"
#include "dept/adapter/init.h"
#include "dept/base/error.h"
#include "dept/tensorio/tensor_source.h"
#include "support/dept_adapter.h"

namespace dept {
namespace {

const fs::path data = fs::path(DEPT_TEST_DATA) / "parity" / "data" / "adapter";

double relative_error(const at::Tensor& got, const at::Tensor& want) {
  if (want.numel() == 0) return got.sizes() == want.sizes() ? 0 : 1;
  const double largest = want.abs().max().item<double>();
  return (got.to(at::kDouble) - want).abs().max().item<double>() / (largest == 0 ? 1 : largest);
}

struct Case {
  int64_t K, R;
  std::string alignment;
  at::ScalarType dtype;
};

class DeptGolden : public testing::TestWithParam<Case> {};

TEST_P(DeptGolden, ForwardAndGradientsMatchAutograd) {
  const auto& [K, R, alignment, dtype] = GetParam();
  const auto file = open_safetensors(data / "dept.safetensors");
  const std::string prefix = "k" + std::to_string(K) + ".r" + std::to_string(R) + "." + alignment + ".";
  const auto golden = [&](const std::string& name) { return file->read(prefix + name); };
  const double tolerance = dtype == at::kDouble ? 1e-12 : 1e-6;

  const at::Tensor length = golden("length"), config = golden("config");
  Ragged tokens;
  std::vector<at::Tensor> position;
  for (int64_t b = 0; b < length.size(0); ++b) {
    tokens.append(length[b].item<int64_t>(), b, config[b].item<int64_t>());
    position.push_back(at::arange(tokens.length(b), at::kLong));
  }
  tokens.position = at::cat(position);
  tokens.row = golden("row");
  const DeptWeights weights{golden("P").to(dtype), golden("A").to(dtype), golden("B").to(dtype)};
  const double scale = delta_scale(8, R);
  EXPECT_DOUBLE_EQ(scale, golden("scale").item<double>());

  for (bool share : {false, true}) {
    const std::string form = share ? "shared." : "copied.";
    const auto adapter = dept_adapter(weights);
    const AdaptedBatch x = adapter->apply({.share_prompt = share}, {tokens, golden("E").to(dtype)}, nullptr);
    EXPECT_LE(relative_error(x.source.stream.embeds, golden(form + "X")), tolerance);
    const DeptWeights gradient = dept_weights(adapter->backward(x, {golden(form + "d").to(dtype), {}}));
    EXPECT_LE(relative_error(gradient.P, golden(form + "dP")), tolerance);
    EXPECT_LE(relative_error(gradient.A, golden(form + "dA")), tolerance);
    EXPECT_LE(relative_error(gradient.B, golden(form + "dB")), tolerance);
    EXPECT_EQ(gradient.A.scalar_type(), at::kDouble);
  }
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (int64_t K : {1, 3})
    for (int64_t R : {0, 5})
      for (const char* alignment : {"start", "end"})
        for (at::ScalarType dtype : {at::kFloat, at::kDouble}) all.push_back({K, R, alignment, dtype});
  return all;
}

INSTANTIATE_TEST_SUITE_P(Cases, DeptGolden, testing::ValuesIn(cases()), [](const auto& info) {
  const Case& c = info.param;
  return "K" + std::to_string(c.K) + "R" + std::to_string(c.R) + c.alignment + (c.dtype == at::kDouble ? "Fp64" : "Fp32");
});

TEST(InitGolden, DrawsWhatTorchDraws) {
  const auto file = open_safetensors(data / "init.safetensors");
  const at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(42);
  const at::Tensor prompt = init_prompt_random(7, 16, generator);
  const AdapterShape shape{.prompt_tokens = 7, .width = 16, .rank = 5, .max_length = 24};
  const DeptWeights weights =
      dept_weights(AdapterWeights{start_adapter(dept_method(), shape, {[&] { return prompt; }, generator}), {}, {}});
  EXPECT_TRUE(prompt.equal(file->read("P")));
  EXPECT_TRUE(weights.P[0].equal(prompt));
  EXPECT_TRUE(weights.A[0].equal(file->read("A")));
  EXPECT_TRUE(weights.B.equal(at::zeros({1, 5, 16})));
}

TEST(AdapterFileGolden, ReadsTheForksLayout) {
  const Adapter adapter = load_adapter(data / "original", 16);
  EXPECT_TRUE(adapter.config.original());
  EXPECT_EQ(adapter.config.method, &dept_method());
  EXPECT_EQ(adapter.config.r, 3);
  EXPECT_EQ(adapter.config.lora_alpha, 8);
  EXPECT_EQ(adapter.config.base_model_name_or_path, "t5-base");
  EXPECT_EQ(adapter.config.prompt_tuning_init_text, default_init_text);
  const auto file = open_safetensors(data / "original" / "adapter_model.safetensors");
  for (const Parameter& parameter : adapter.weights.parameters())
    EXPECT_TRUE(parameter.value[0].equal(file->read(parameter.name)));
}

TEST(AdapterFileGolden, ReadsAPromptThatPeftWrote) {
  const Adapter adapter = load_adapter(data / "from_peft", 16);
  EXPECT_EQ(adapter.config.method, &prompt_tuning_method());
  EXPECT_EQ(adapter.config.num_virtual_tokens, 3);
  EXPECT_EQ(adapter.weights.parameters().size(), 1u);
  const auto file = open_safetensors(data / "from_peft" / "adapter_model.safetensors");
  EXPECT_TRUE(adapter.weights.input->parameter("prompt_embeddings")[0].equal(file->read("prompt_embeddings")));
}

// make/adapter.py checks that PEFT loads the folder to_peft; here we check that it is what we write.
TEST(AdapterFileGolden, WritesWhatPeftWasSeenToRead) {
  AdapterConfig config;
  config.method = &prompt_tuning_method();
  config.num_virtual_tokens = 3;
  config.token_dim = 16;
  config.max_length = 96;
  config.prompt_tuning_init_text = default_init_text;
  config.base_model_name_or_path = "tiny-llama";
  config.tokenizer_name_or_path = "tiny-llama";
  config.task_type = "CAUSAL_LM";
  config.task.causal_suffix = " Label :";
  config.task.labels = {"0", "1"};
  config.task.label_words = {" negative", " positive"};
  const at::Tensor prompt = (at::arange(48, at::kFloat) / 8 - 3).view({1, 3, 16});
  const fs::path written = fs::path(testing::TempDir()) / "dept_to_peft";
  fs::create_directories(written);
  save_adapter(written, config, {make_adapter(prompt_tuning_method(), shape_of(config), {prompt}), {}, {}});
  for (const char* name : {"adapter_config.json", "adapter_model.safetensors"})
    EXPECT_EQ(read_file(written / name), read_file(data / "to_peft" / name)) << name << " changed: see " << written;
}

// As the original's own code saves it (tests/parity/make/original_runs.py), as three of its published checkpoints are.
TEST(AdapterParity, OriginalWithoutAAndB) {
  const fs::path runs = fs::path(DEPT_TEST_DATA) / "parity/data/original_runs";
  const Adapter whole = load_adapter(runs / "t5-mrpc/start", 16), prompt = load_adapter(runs / "without_delta", 16);
  EXPECT_TRUE(whole.config.original() && prompt.config.original());
  EXPECT_TRUE(dept_weights(prompt.weights).P.equal(dept_weights(whole.weights).P)) << "both are the embeddings of the same text";
  EXPECT_EQ(dept_weights(whole.weights).A.sizes(), (at::IntArrayRef{1, 26, 3}));
  EXPECT_EQ(dept_weights(prompt.weights).A.sizes(), dept_weights(whole.weights).A.sizes());
  EXPECT_GT(dept_weights(whole.weights).B.abs().max().item<float>(), 0);
  EXPECT_EQ(dept_weights(prompt.weights).B.abs().max().item<float>(), 0);
}

}  // namespace
}  // namespace dept
