// Every family and variant against transformers (make/families.py), and each against itself in other forms.
#include <gmock/gmock.h>

#include <algorithm>

#include "support.h"

namespace dept::parity {
namespace {

fs::path families(const std::string& name) {
  return data("families/" + name);
}

class Families : public testing::TestWithParam<std::string> {
 protected:
  static std::unique_ptr<TextModel> load(c10::ScalarType dtype) { return load_text_model(families(GetParam()), context(dtype)); }

  const std::unique_ptr<TensorSource> file_ = golden("families/" + GetParam());
  const bool decoder_only_ = file_->find("target") == nullptr;

  Stream source(c10::ScalarType dtype) const {
    Stream out = stream(as_lengths(file_->read("lengths")), file_->read("embeds").to(dtype));
    if (decoder_only_) out.tokens.position = file_->read("position");
    return out;
  }
  Stream target(c10::ScalarType dtype) const {
    if (decoder_only_) return {};
    return stream(as_lengths(file_->read("target_lengths")), file_->read("target").to(dtype));
  }
  Pass pass(const Call& call, const TextModel& model) const {
    const c10::ScalarType dtype = model.context().residual();
    const Stream target_stream = target(dtype);
    return run(call, model, source(dtype), decoder_only_ ? nullptr : &target_stream, file_->read("cotangent"));
  }
};

TEST_P(Families, EqualsTransformers) {
  const Pass ours = pass({}, *load(at::kFloat));
  EXPECT_LT(relative_error(ours.logits, file_->read("logits")), 1e-5);
  if (file_->find("padded") != nullptr) {  // with LongRoPE a text's result in a batch is not the text's own there
    EXPECT_LT(relative_error(ours.logits, file_->read("padded")), 1e-5);
  }
  EXPECT_LT(relative_error(ours.gradients.source, file_->read("d_embeds")), 3e-5);
  if (!decoder_only_) {
    EXPECT_LT(relative_error(ours.gradients.target, file_->read("d_target")), 3e-5);
  }
}

// Both sides by the median of 50 batches.
TEST_P(Families, Bf16IsWithinTwiceTransformersOwn) {
  const Bf16Error error = bf16_error(*load(at::kFloat), *load(at::kBFloat16), source(at::kFloat), target(at::kFloat));
  const auto allowed = [&](const std::string& key) { return 2 * file_->read("bf16." + key).item<double>(); };
  EXPECT_LT(error.logits, allowed("logits"));
  EXPECT_LT(error.source, allowed("d_embeds"));
  if (!decoder_only_) {
    EXPECT_LT(error.target, allowed("d_target"));
  }
}

// The answers to all prompts of NAME.greedy.json, in one ragged batch.
std::vector<std::vector<Generated>> answers_to_all(const TextModel& model, const std::string& name, GenerationOptions options) {
  const Json file = read_json(data("families/" + name + ".greedy.json"));
  Lengths lengths, ids;
  for (const Lengths& prompt : id_lists(file["prompts"])) {
    lengths.push_back(static_cast<int64_t>(prompt.size()));
    ids.insert(ids.end(), prompt.begin(), prompt.end());
  }
  options.max_new_tokens = file["max_new_tokens"];
  options.eos_ids = file["eos_ids"].get<Lengths>();
  const GenerationInput input{stream(lengths, model.embed(at::tensor(ids, at::kLong))), {}, {}};
  return generate(model, input, options);
}

TEST_P(Families, GreedyEqualsTransformersOn200Prompts) {
  const auto expected = id_lists(read_json(families(GetParam() + ".greedy.json"))["answers"]);
  const auto ours = answers_to_all(*load(at::kFloat), GetParam(), {});
  ASSERT_EQ(expected.size(), 200u);
  ASSERT_EQ(ours.size(), 200u);
  for (size_t i = 0; i < 200; ++i) {
    const Lengths& ids = ours[i].front().ids;
    ASSERT_GE(ids.size(), expected[i].size()) << "prompt " << i;
    EXPECT_TRUE(std::equal(expected[i].begin(), expected[i].end(), ids.begin())) << "prompt " << i;
  }
}

TEST_P(Families, BeamsEqualTransformersOn200Prompts) {
  const Json file = read_json(families(GetParam() + ".beams.json"));
  GenerationOptions options;
  options.num_beams = file["options"]["num_beams"];
  options.num_return_sequences = file["options"]["num_return_sequences"];
  const auto ours = answers_to_all(*load(at::kFloat), GetParam(), options);
  ASSERT_EQ(file["answers"].size(), 200u);
  ASSERT_EQ(ours.size(), 200u);
  for (size_t i = 0; i < 200; ++i) {
    const Json& expected = file["answers"][i];
    if (expected.is_null()) continue;  // a choice that less than 1e-4 decides
    for (size_t k = 0; k < expected.size(); ++k) EXPECT_EQ(Json(ours[i].at(k).ids), expected[k]) << "prompt " << i;
  }
}

// With the dropout of training too: its bits belong to the example, not to the place in the batch.
TEST_P(Families, RaggedEqualsOneAtATime) {
  const auto model = load(at::kDouble);
  for (const bool training : {false, true}) {
    Call call;
    call.training = training;
    const Pass together = pass(call, *model);
    const Stream all = source(at::kDouble), all_targets = target(at::kDouble);
    const Ragged& labelled = decoder_only_ ? all.tokens : all_targets.tokens;
    for (int64_t b = 0; b < all.tokens.batch(); ++b) {
      const at::Tensor cotangent = rows(file_->read("cotangent"), labelled, b);
      if (cotangent.abs().max().item<double>() == 0) continue;
      const Stream one_target = decoder_only_ ? Stream{} : only(all_targets, b);
      const Pass alone = run(call, *model, only(all, b), decoder_only_ ? nullptr : &one_target, cotangent);
      EXPECT_LT(relative_error(rows(together.logits, labelled, b), alone.logits), 1e-12) << "sequence " << b;
      EXPECT_LT(relative_error(rows(together.gradients.source, all.tokens, b), alone.gradients.source), 1e-11)
          << "sequence " << b;
    }
  }
}

TEST_P(Families, BackwardEqualsFiniteDifferencesWithDropout) {
  const auto model = load(at::kDouble);
  const Call call = training();
  const Pass ours = pass(call, *model);
  const Stream x = source(at::kDouble), z = target(at::kDouble);
  const at::Tensor cotangent = file_->read("cotangent");
  const auto value = [&](const Stream& from, const Stream& to) {
    return (model->logits(model->forward(call, from, decoder_only_ ? nullptr : &to, nullptr)) * cotangent).sum().item<double>();
  };
  const auto of_source = [&](const at::Tensor& embeds) { return value({x.tokens, embeds}, z); };
  const auto of_target = [&](const at::Tensor& embeds) { return value(x, {z.tokens, embeds}); };
  for (unsigned seed = 10; seed < 13; ++seed) {
    EXPECT_LT(directional_error(of_source, x.embeds, ours.gradients.source, seed), 1e-6);
    if (!decoder_only_) {
      EXPECT_LT(directional_error(of_target, z.embeds, ours.gradients.target, seed), 1e-6);
    }
  }
}

TEST_P(Families, CachedStepsEqualFullForward) {
  if (!decoder_only_) GTEST_SKIP() << "T5's cache: test_t5.cpp";
  const auto model = load(at::kDouble);
  const Stream all = only(source(at::kDouble), 2);
  const auto cache = model->start(all, 1, 20);
  const auto extend = [&](int64_t from, int64_t to) {
    const at::Tensor full = model->forward({}, stream({to}, all.embeds.slice(0, 0, to)), nullptr, nullptr);
    const Stream part = stream({to - from}, all.embeds.slice(0, from, to), from);
    EXPECT_LT(relative_error(model->extend(*cache, part, {0}), full.slice(0, from, to)), 1e-12) << from;
  };
  for (const auto& [from, to] : {std::pair<int64_t, int64_t>{0, 6}, {6, 7}, {7, 11}, {11, 20}}) extend(from, to);
  model->rewind(*cache, 0, 5);
  extend(5, 9);
  extend(9, 20);
}

TEST_P(Families, WantedTokensAloneAreThoseOfAll) {
  if (!decoder_only_) GTEST_SKIP() << "all of a target's tokens are read";
  const auto model = load(at::kDouble);
  const Stream all = source(at::kDouble);
  expect_wanted_alone(*model, all, 1e-12);
  expect_wanted_alone(*load(at::kBFloat16), source(at::kFloat), 1e-2);
  Stream last = all;
  Lengths slots;
  for (int64_t b = 0; b < all.tokens.batch(); ++b) {
    slots.push_back(b);
    if (all.tokens.length(b) > 0) last.wanted.push_back(all.tokens.offsets[b + 1] - 1);
  }
  const auto run = [&](const Stream& stream) {
    return model->extend(*model->start(stream, stream.tokens.batch(), 0), stream, slots);
  };
  const at::Tensor places = at::tensor(last.wanted);
  EXPECT_LE(relative_error(run(last).index_select(0, places), run(all).index_select(0, places)), 1e-12);
}

// Of blocks whose branches stand side by side or one behind the other under dropout, and of a single block.
TEST(Families, WantedTokensAloneInOtherForms) {
  const Json drops = {{"hidden_dropout", 0.3}, {"attention_dropout", 0.2}};
  for (const auto& [name, change] : {std::pair<std::string, Json>{"gpt_neox", drops},
                                     {"gpt_neox-serial", drops},
                                     {"llama", {{"num_hidden_layers", 1}}},
                                     {"gpt2", {{"n_layer", 1}, {"resid_pdrop", 0.4}}}}) {
    Json config = read_json(families(name) / "config.json");
    config.update(change);
    const auto model = random_backbone(config, context(at::kDouble), 4);
    expect_wanted_alone(*model, stream({9, 14}, noise({23, model->info().hidden}, at::kDouble, 2)), 1e-12);
  }
}

// The configuration's count of parameters is the file's.
TEST_P(Families, ParametersAreCounted) {
  int64_t stored = 0;
  const auto file = open_weights(families(GetParam()));
  for (const TensorInfo& tensor : file->tensors()) {
    int64_t count = tensor.name == "final_logits_bias" ? 0 : 1;  // of BART: no parameter in transformers
    for (const int64_t size : tensor.shape) count *= size;
    stored += count;
  }
  const auto model = load(at::kFloat);
  EXPECT_EQ(model->info().parameters, stored);
  EXPECT_EQ(model->info().model_type, read_json(families(GetParam()) / "config.json")["model_type"]);
}

TEST_P(Families, RandomOneOfTheSameShapeRuns) {
  const auto model = as_text(random_backbone(read_json(families(GetParam()) / "config.json"), context(at::kFloat), 3));
  const Pass ours = pass({}, *model);
  EXPECT_TRUE(ours.logits.isfinite().all().item<bool>());
  EXPECT_GT(ours.gradients.source.abs().max().item<double>(), 0);
}

INSTANTIATE_TEST_SUITE_P(Tiny, Families,
                         testing::Values("gpt2", "gpt2-gelu", "gpt2-relu", "llama", "llama-llama3", "llama-linear", "llama-yarn",
                                         "llama-biases", "mistral", "qwen2", "t5-v1.0", "t5-v1.1", "t5-v1.1-resaved", "t5-gelu",
                                         "t5-gated-relu", "t5-gated-silu", "t5-wide-heads", "mt5", "mistral-window",
                                         "qwen2-window", "qwen3", "qwen3-window", "gemma2", "gemma2-plain", "gemma3", "gemma3-v4",
                                         "smollm3", "smollm3-window", "olmo2", "granite", "granite-biases", "phi3",
                                         "phi3-longrope", "gpt_neox", "gpt_neox-serial", "umt5", "bart", "bart-scaled"),
                         [](const auto& test) {
                           std::string name = test.param;
                           for (char& c : name)
                             if (c == '-' || c == '.') c = '_';
                           return name;
                         });

// The same model in both containers.
TEST(GgufLlama, RopeScalingEqualsTransformers) {
  for (const std::string name : {"llama-llama3", "llama-linear"}) {
    const auto file = golden("families/" + name);
    const auto model = load_text_model(families(name + ".gguf"), context(at::kFloat));
    Stream x = stream(as_lengths(file->read("lengths")), file->read("embeds"));
    x.tokens.position = file->read("position");
    const Pass ours = run({}, *model, x, nullptr, file->read("cotangent"));
    EXPECT_LT(relative_error(ours.logits, file->read("logits")), 1e-5) << name;
    EXPECT_LT(relative_error(ours.gradients.source, file->read("d_embeds")), 3e-5) << name;
  }
}

class Gguf : public testing::TestWithParam<std::string> {};

// Also in the file's own storage.
TEST_P(Gguf, OfItsArchitectureEqualsTransformers) {
  const auto file = golden("families/" + GetParam());
  for (const Storage storage : {Storage::same, Storage::gguf}) {
    ModelContext held = context(at::kFloat);
    held.storage = storage;
    const auto model = load_text_model(families(GetParam() + ".gguf"), held);
    Stream x = stream(as_lengths(file->read("lengths")), file->read("embeds"));
    x.tokens.position = file->read("position");
    const Pass ours = run({}, *model, x, nullptr, file->read("cotangent"));
    EXPECT_LT(relative_error(ours.logits, file->read("logits")), 1e-5);
    EXPECT_LT(relative_error(ours.gradients.source, file->read("d_embeds")), 3e-5);
  }
  const ModelInfo info = read_model_info(families(GetParam() + ".gguf")), of_folder = read_model_info(families(GetParam()));
  EXPECT_EQ(info.parameters, of_folder.parameters);
  EXPECT_EQ(info.model_type, of_folder.model_type);
}

INSTANTIATE_TEST_SUITE_P(Architectures, Gguf,
                         testing::Values("qwen2", "qwen3", "gemma2", "gemma3", "phi3", "phi3-longrope", "smollm3", "gpt2",
                                         "gpt_neox"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

std::string refusal(Json config, const Json& change) {
  config.update(change);
  try {
    random_backbone(config, context(at::kFloat), 1);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::bad_input);
    return error.what();
  }
  return "";
}

TEST(Families, RefusesWhatItCannotDoByName) {
  using testing::HasSubstr;
  const auto config = [](const std::string& name) { return read_json(families(name) / "config.json"); };
  const Json gpt2 = config("gpt2"), llama = config("llama-biases"), t5 = config("t5-v1.1");
  EXPECT_THAT(refusal(gpt2, {{"add_cross_attention", true}}), HasSubstr("add_cross_attention"));
  EXPECT_THAT(refusal(gpt2, {{"activation_function", "tanh"}}), HasSubstr("activation_function"));
  EXPECT_THAT(refusal(gpt2, {{"n_head", 3}}), HasSubstr("n_head"));
  EXPECT_THAT(refusal(gpt2, {{"attn_pdrop", 1.5}}), HasSubstr("attn_pdrop"));
  EXPECT_THAT(refusal(gpt2, {{"model_type", "gpt_neo"}}), HasSubstr("gpt_neo"));
  EXPECT_THAT(refusal(llama, {{"hidden_act", "gelu"}}), HasSubstr("hidden_act"));
  EXPECT_THAT(refusal(config("mistral"), {{"sliding_window", 0}}), HasSubstr("sliding_window] expected at least 1, or null"));
  EXPECT_THAT(refusal(config("qwen3"), {{"layer_types", {"sliding_attention", "full_attention"}}}), HasSubstr("layer_types"));
  EXPECT_THAT(refusal(config("gemma2"), {{"layer_types", {"sliding_attention"}}}), HasSubstr("layer_types] expected 2 types"));
  EXPECT_THAT(refusal(config("gemma2"), {{"layer_types", {"chunked_attention", "full_attention"}}}),
              HasSubstr("chunked_attention"));
  EXPECT_THAT(refusal(config("gemma2"), {{"attn_logit_softcapping", -1}}), HasSubstr("attn_logit_softcapping"));
  EXPECT_THAT(refusal(config("gemma2"), {{"query_pre_attn_scalar", 0}}), HasSubstr("query_pre_attn_scalar"));
  EXPECT_THAT(refusal(config("gemma2"), {{"hidden_activation", "tanh"}}), HasSubstr("hidden_activation"));
  EXPECT_THAT(refusal(config("gemma3"), {{"attn_logit_softcapping", 50.0}}), HasSubstr("attn_logit_softcapping"));
  EXPECT_THAT(refusal(config("gemma3"), {{"rope_parameters", {{"rope_theta", 7.0}}}}), HasSubstr("full_attention"));
  EXPECT_THAT(refusal(config("gemma3-v4"), {{"sliding_window_pattern", 0}}), HasSubstr("sliding_window_pattern"));
  EXPECT_THAT(refusal(config("smollm3"), {{"no_rope_layers", {1}}}), HasSubstr("no_rope_layers] expected 4 numbers"));
  EXPECT_THAT(refusal(config("granite"), {{"logits_scaling", 0}}), HasSubstr("logits_scaling"));
  EXPECT_THAT(refusal(config("phi3-longrope"), {{"partial_rotary_factor", 0.4}}), HasSubstr("partial_rotary_factor"));
  EXPECT_THAT(refusal(config("phi3-longrope"), {{"partial_rotary_factor", 0.25}}), HasSubstr("long_factor] expected 1 numbers"));
  EXPECT_THAT(refusal(config("gpt_neox"), {{"rotary_pct", 1.5}}), HasSubstr("partial_rotary_factor"));
  EXPECT_THAT(refusal(config("bart"), {{"decoder_attention_heads", 3}}),
              HasSubstr("decoder_attention_heads] expected a divisor"));
  EXPECT_THAT(refusal(config("bart"), {{"decoder_layerdrop", 0.1}}), HasSubstr("decoder_layerdrop"));
  EXPECT_THAT(refusal(config("bart"), {{"hidden_size", 99}}), HasSubstr("hidden_size] expected 16, as d_model says"));
  EXPECT_THAT(refusal(config("bart"), {{"normalize_before", true}}), HasSubstr("normalize_before"));
  EXPECT_THAT(refusal(config("bart"), {{"activation_function", "tanh"}}), HasSubstr("activation_function"));
  EXPECT_THAT(refusal(config("bart"), {{"encoder_ffn_dim", 0}}), HasSubstr("encoder_ffn_dim] expected a size"));
  const auto rope = [&](const Json& parameters) { return refusal(llama, {{"rope_parameters", parameters}}); };
  EXPECT_THAT(rope({{"rope_type", "longrope"}}), HasSubstr("long_factor"));
  EXPECT_THAT(rope({{"rope_type", "dynamic"}, {"factor", 2.0}}), HasSubstr("dynamic"));
  EXPECT_THAT(rope({{"rope_type", "linear"}}), HasSubstr("factor"));
  EXPECT_THAT(rope({{"rope_type", "linear"}, {"factor", 0}}), HasSubstr("factor"));
  EXPECT_THAT(rope({{"rope_type", "llama3"}, {"factor", 8}, {"low_freq_factor", 4}, {"high_freq_factor", 1}}),
              HasSubstr("high_freq_factor"));
  EXPECT_THAT(rope({{"partial_rotary_factor", 0.5}}), HasSubstr("partial_rotary_factor"));
  EXPECT_THAT(rope(7), HasSubstr("rope_parameters"));
  EXPECT_THAT(refusal(t5, {{"feed_forward_proj", "gated-tanh"}}), HasSubstr("feed_forward_proj"));
  EXPECT_THAT(refusal(t5, {{"is_gated_act", false}}), HasSubstr("is_gated_act"));
  EXPECT_THAT(refusal(t5, {{"dense_act_fn", "relu"}}), HasSubstr("dense_act_fn"));
}

TEST(Gpt2, TextBeyondItsPositionsIsBadInput) {
  const auto model = load_text_model(families("gpt2"), context(at::kFloat));
  const Stream fits = stream({48}, noise({48, 16}, at::kFloat, 1)), longer = stream({49}, noise({49, 16}, at::kFloat, 1));
  EXPECT_NO_THROW(model->forward({}, fits, nullptr, nullptr));
  try {
    model->forward({}, longer, nullptr, nullptr);
    FAIL() << "49 tokens passed";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::bad_input);
    EXPECT_THAT(error.what(), testing::HasSubstr("n_positions"));
    EXPECT_THAT(error.what(), testing::HasSubstr("49"));
  }
}

// Each of the three dropouts alone changes the result in training, and none of them outside.
TEST(Gpt2, EachDropoutActsInTrainingOnly) {
  const Json none = {{"embd_pdrop", 0}, {"attn_pdrop", 0}, {"resid_pdrop", 0}};
  const Stream x = stream({9, 4}, noise({13, 16}, at::kFloat, 2));
  const auto changes = [&](const Json& dropouts) {
    Json config = read_json(families("gpt2") / "config.json");
    config.update(none);
    config.update(dropouts);
    const auto model = random_backbone(config, context(at::kFloat), 4);
    return relative_error(model->forward(training(), x, nullptr, nullptr), model->forward({}, x, nullptr, nullptr));
  };
  EXPECT_EQ(changes(Json::object()), 0);
  for (const char* key : {"embd_pdrop", "attn_pdrop", "resid_pdrop"}) EXPECT_GT(changes({{key, 0.3}}), 1e-2) << key;
  EXPECT_DOUBLE_EQ(read_model_info(families("gpt2")).dropout, 0.1);
}

}  // namespace
}  // namespace dept::parity
