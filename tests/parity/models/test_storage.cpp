// A model computes the same however its matrices are held.
#include "support.h"

namespace dept::parity {
namespace {

ModelContext held(Storage storage, c10::ScalarType compute = at::kFloat) {
  ModelContext held = context(compute);
  held.storage = storage;
  return held;
}

Pass golden_pass(const ModelContext& context, const TensorSource& file) {
  const auto model = load_text_model(data("llama-mixed.gguf"), context);
  const at::Tensor embeds = file.read("embeds");
  return run({}, *model, stream({embeds.size(0)}, embeds.to(context.residual())), nullptr, file.read("cotangent"));
}

TEST(Storage, EveryBlockTypeOfGgufEqualsTransformers) {
  const auto file = golden("llama-mixed");
  for (const Storage storage : {Storage::same, Storage::gguf}) {
    const Pass pass = golden_pass(held(storage), *file);
    EXPECT_LT(relative_error(pass.logits, file->read("logits")), 1e-5);
    EXPECT_LT(relative_error(pass.gradients.source, file->read("d_embeds")), 2e-5);
    const auto model = load_backbone(data("llama-mixed.gguf"), held(storage));
    EXPECT_TRUE(at::equal(model->embed(file->read("ids")), file->read("embeds")));
    EXPECT_EQ(model->info().storage, storage == Storage::gguf ? "gguf" : "fp32");
  }
}

TEST(Storage, BlocksEqualTheirWidenedValuesInEveryComputeType) {
  const auto file = golden("llama-mixed");
  for (const auto& [compute, tolerance] :
       std::vector<std::pair<c10::ScalarType, double>>{{at::kDouble, 1e-12}, {at::kFloat, 2e-6}, {at::kBFloat16, 2e-2}}) {
    const Pass blocks = golden_pass(held(Storage::gguf, compute), *file), same = golden_pass(held(Storage::same, compute), *file);
    EXPECT_LT(relative_distance(blocks.logits, same.logits), tolerance) << compute;
    EXPECT_LT(relative_distance(blocks.gradients.source, same.gradients.source), tolerance) << compute;
  }
}

// fp32 arithmetic over half-wide weights: exactly what the rounded weights give.
TEST(Storage, HalfWideWeightsComputeInFp32) {
  const auto file = golden("llama-untied");
  const Lengths lengths = as_lengths(file->read("lengths"));
  const auto pass = [&](const ModelContext& context) {
    Stream source = stream(lengths, file->read("embeds").to(context.residual()));
    return run({}, *load_text_model(data("llama-untied"), context), source, nullptr, file->read("cotangent"));
  };
  const Pass full = pass(held(Storage::same));
  for (const auto& [storage, far] : std::vector<std::pair<Storage, double>>{{Storage::fp16, 2e-3}, {Storage::bf16, 2e-2}}) {
    const Pass half = pass(held(storage)), half64 = pass(held(storage, at::kDouble));
    EXPECT_LT(relative_distance(half.logits, full.logits), far);
    EXPECT_GT(relative_distance(half.logits, full.logits), far / 1000);
    EXPECT_LT(relative_distance(half.logits, half64.logits), 1e-5);
    EXPECT_LT(relative_distance(half.gradients.source, half64.gradients.source), 1e-5);
  }
  const Pass wide = pass(held(Storage::fp32, at::kBFloat16));
  EXPECT_LT(relative_distance(wide.logits, full.logits), 3e-2);
  EXPECT_LT(relative_distance(wide.gradients.source, full.gradients.source), 3e-2);
}

TEST(Storage, T5ComputesInFp32OverHalfWideWeights) {
  const auto file = golden("t5-v1.0");
  const auto pass = [&](const ModelContext& context) {
    const Stream source = stream(as_lengths(file->read("source_lengths")), file->read("source").to(context.residual()));
    const Stream target = stream(as_lengths(file->read("target_lengths")), file->read("target").to(context.residual()));
    return run({}, *load_text_model(data("t5-v1.0"), context), source, &target, file->read("cotangent"));
  };
  for (const Storage storage : {Storage::fp32, Storage::fp16, Storage::bf16}) {
    const Pass half = pass(held(storage)), half64 = pass(held(storage, at::kDouble));
    EXPECT_LT(relative_distance(half.logits, half64.logits), 1e-5);
    EXPECT_LT(relative_distance(half.gradients.source, half64.gradients.source), 1e-5);
    EXPECT_LT(relative_distance(half.gradients.target, half64.gradients.target), 1e-5);
  }
}

TEST(Storage, RandomBlocksAreLikeRandomNumbers) {
  const Json config = {{"model_type", "llama"},    {"hidden_size", 64}, {"intermediate_size", 96},     {"num_hidden_layers", 1},
                       {"num_attention_heads", 2}, {"vocab_size", 50},  {"tie_word_embeddings", false}};
  const auto model = random_backbone(config, held(Storage::gguf), 3);
  const at::Tensor words = model->embed(at::arange(50));
  EXPECT_NEAR(words.std().item<double>(), 0.125, 0.01);
  EXPECT_EQ(model->info().storage, "gguf");
}

TEST(Storage, GgufIsForGgufFiles) {
  EXPECT_THROW(load_backbone(data("llama-untied"), held(Storage::gguf)), Error);
}

// `pass` with weights of 8 bits is farther from fp32 than in bf16, whose products round numbers to 1/512 where 8 bits round the
// largest of a row to 1/254, but not by more than those and smaller ones explain.
template <class MakePass>
void expect_eight_bits(const std::string& name, MakePass pass) {
  constexpr double most = 6;
  const Pass full = pass(held(Storage::same)), half = pass(held(Storage::same, at::kBFloat16));
  const Pass eight = pass(held(Storage::int8, at::kBFloat16));
  const auto ratio = [](const at::Tensor& whole, const at::Tensor& rounded, const at::Tensor& exact) {
    return relative_distance(whole, exact) / relative_distance(rounded, exact);
  };
  EXPECT_GT(ratio(eight.logits, half.logits, full.logits), 1) << name;
  EXPECT_LT(ratio(eight.logits, half.logits, full.logits), most) << name;
  EXPECT_LT(ratio(eight.gradients.source, half.gradients.source, full.gradients.source), most) << name;
}

TEST(Storage, EightBitsAreNearInEveryFamily) {
  if (!cpu_has_int8()) GTEST_SKIP() << "no AVX512-BF16 and AVX512-VNNI";
  const Json t5 = {{"model_type", "t5"}, {"d_model", 64},  {"d_kv", 16},       {"d_ff", 128},
                   {"num_layers", 3},    {"num_heads", 4}, {"vocab_size", 96}, {"dropout_rate", 0.0}};
  const Json llama = {{"model_type", "llama"},  {"hidden_size", 64},        {"intermediate_size", 160},
                      {"num_hidden_layers", 3}, {"num_attention_heads", 4}, {"vocab_size", 96}};
  const Json gpt2 = {{"model_type", "gpt2"}, {"n_embd", 64},     {"n_layer", 3},
                     {"n_head", 4},          {"vocab_size", 96}, {"n_positions", 64}};
  for (const Json& config : {t5, llama, gpt2}) {
    const auto pass = [&](const ModelContext& context) {
      const auto model = as_text(random_backbone(config, context, 5));
      EXPECT_EQ(model->info().storage, context.storage == Storage::int8 ? "int8" : dtype_name(context.compute));
      const Stream source = stream({9, 21, 4}, noise({34, 64}, at::kFloat, 1)),
                   target = stream({2, 3, 1}, noise({6, 64}, at::kFloat, 2));
      const bool decodes = model->info().encoder_decoder();
      return run({}, *model, source, decodes ? &target : nullptr, noise({decodes ? 6 : 34, 96}, at::kFloat, 3));
    };
    expect_eight_bits(config["model_type"], pass);
  }
}

// Its feed-forward layers, 48 wide, stay in bf16.
TEST(Storage, EightBitsOfT5AreNearTransformers) {
  if (!cpu_has_int8()) GTEST_SKIP() << "no AVX512-BF16 and AVX512-VNNI";
  const auto file = golden("t5-v1.0");
  const auto pass = [&](const ModelContext& context) {
    const Stream source = stream(as_lengths(file->read("source_lengths")), file->read("source"));
    const Stream target = stream(as_lengths(file->read("target_lengths")), file->read("target"));
    return run({}, *load_text_model(data("t5-v1.0"), context), source, &target, file->read("cotangent"));
  };
  expect_eight_bits("t5-v1.0", pass);
}

double smollm2_loss(const fs::path& path, const ModelContext& context) {
  const auto model = load_text_model(path, context);
  const Json cases = read_json(data("smollm2_greedy.json"));
  double total = 0;
  for (const Json& one : cases) {
    Lengths ids = one["ids"].get<Lengths>();
    for (const int64_t id : one["continuation"]) ids.push_back(id);
    const auto n = static_cast<int64_t>(ids.size());
    const at::Tensor all = at::tensor(ids, at::kLong);
    const at::Tensor logits = model->logits(model->forward({}, stream({n}, model->embed(all)), nullptr, nullptr));
    total -= at::log_softmax(logits.slice(0, 0, n - 1), 1).gather(1, all.slice(0, 1).unsqueeze(1)).mean().item<double>();
  }
  return total / static_cast<double>(cases.size());
}

TEST(SmolLM2, BlocksGiveTheSameLoss) {
  const fs::path path = smollm2();
  if (path.empty()) GTEST_SKIP() << "no SmolLM2-135M in .deps/models: scripts/quickstart.sh fetches it";
  const double same = smollm2_loss(path, held(Storage::same));
  EXPECT_NEAR(smollm2_loss(path, held(Storage::gguf)), same, 1e-6 * same);
}

TEST(SmolLM2, EightBitsGiveNearlyTheSameLoss) {
  const fs::path path = smollm2();
  if (path.empty() || !cpu_has_int8()) GTEST_SKIP() << "no SmolLM2-135M in .deps/models, or no AVX512-BF16 and AVX512-VNNI";
  const double same = smollm2_loss(path, held(Storage::same));
  EXPECT_NEAR(smollm2_loss(path, held(Storage::int8, at::kBFloat16)), same, 0.05 * same);
}

}  // namespace
}  // namespace dept::parity
