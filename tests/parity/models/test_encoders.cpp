// BERT and its relatives against transformers (make/encoders.py), and against themselves in other forms.
#include "support.h"

namespace dept::parity {
namespace {

struct EncoderPass {
  at::Tensor hidden, gradient;
};

class Encoders : public testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<Backbone> load(c10::ScalarType dtype) const { return load_backbone(data(GetParam()), context(dtype)); }

  static Stream golden_stream(const TensorSource& file, c10::ScalarType dtype) {
    return stream(as_lengths(file.read("lengths")), file.read("embeds").to(dtype));
  }
  static EncoderPass run(const Call& call, const Backbone& model, const Stream& source, const at::Tensor& cotangent) {
    std::unique_ptr<Saved> saved;
    EncoderPass pass;
    pass.hidden = model.forward(call, source, nullptr, &saved);
    EXPECT_GT(saved->bytes(), 0);
    pass.gradient = model.backward(std::move(saved), cotangent.to(model.context().residual())).source;
    return pass;
  }
};

TEST_P(Encoders, ConfigIsRead) {
  const ModelInfo info = read_model_info(data(GetParam()));
  EXPECT_EQ(info.model_type, GetParam());
  EXPECT_EQ(info.architecture, Architecture::encoder);
  EXPECT_EQ(info.hidden, 32);
  EXPECT_EQ(info.heads, 4);
  EXPECT_EQ(info.vocab, 96);
  EXPECT_EQ(info.dropout, 0.1);
  EXPECT_EQ(info.max_positions, 40) << "RoBERTa's table has 42 rows, two of them in front";
  const bool dense = GetParam() != "bert" && GetParam() != "albert", roberta = GetParam().ends_with("roberta");
  EXPECT_EQ(info.head, dense ? HeadForm::dense : HeadForm::classifier);
  EXPECT_EQ(info.head_dropout, roberta ? 0.2 : 0.1);
}

TEST_P(Encoders, ParametersAreCounted) {
  int64_t stored = 0;
  const auto file = open_weights(data(GetParam()));
  for (const TensorInfo& tensor : file->tensors()) {
    int64_t count = 1;
    for (int64_t size : tensor.shape) count *= size;
    stored += tensor.name.rfind("classifier", 0) == 0 ? 0 : count;
  }
  EXPECT_EQ(read_model_info(data(GetParam())).parameters, stored);
}

TEST_P(Encoders, EqualsTransformersInFp32) {
  const auto file = golden(GetParam());
  const EncoderPass pass = run({}, *load(at::kFloat), golden_stream(*file, at::kFloat), file->read("cotangent"));
  EXPECT_LT(relative_error(pass.hidden, file->read("hidden.fp32")), 5e-6);
  EXPECT_LT(relative_error(pass.gradient, file->read("d_embeds.fp32")), 1e-5);
}

TEST_P(Encoders, EqualsTransformersInFp64) {
  const auto file = golden(GetParam());
  const EncoderPass pass = run({}, *load(at::kDouble), golden_stream(*file, at::kDouble), file->read("cotangent"));
  EXPECT_LT(relative_error(pass.hidden, file->read("hidden.fp64")), 1e-12);
  EXPECT_LT(relative_error(pass.gradient, file->read("d_embeds.fp64")), 1e-12);
}

TEST_P(Encoders, Bf16IsWithinTwiceTransformersOwnError) {
  const auto file = golden(GetParam());
  const EncoderPass pass = run({}, *load(at::kBFloat16), golden_stream(*file, at::kFloat), file->read("cotangent"));
  EXPECT_EQ(pass.hidden.scalar_type(), at::kBFloat16);
  EXPECT_LT(relative_distance(pass.hidden, file->read("hidden.fp64")), 2 * file->read("hidden.bf16_error").item<double>());
  EXPECT_LT(relative_distance(pass.gradient, file->read("d_embeds.fp64")), 2 * file->read("d_embeds.bf16_error").item<double>());
}

TEST_P(Encoders, RaggedEqualsOneAtATimeAlsoInTraining) {
  const auto model = load(at::kDouble);
  Call call = training();
  const auto file = golden(GetParam());
  const Stream all = golden_stream(*file, at::kDouble);
  const EncoderPass together = run(call, *model, all, file->read("cotangent"));
  for (int64_t b = 0; b < all.tokens.batch(); ++b) {
    const EncoderPass alone = run(call, *model, only(all, b), rows(file->read("cotangent"), all.tokens, b));
    EXPECT_LT(relative_error(rows(together.hidden, all.tokens, b), alone.hidden), 1e-12);
    EXPECT_LT(relative_error(rows(together.gradient, all.tokens, b), alone.gradient), 1e-12);
  }
  call.training = false;
  EXPECT_GT(relative_error(together.hidden, run(call, *model, all, file->read("cotangent")).hidden), 1e-3) << "no dropout?";
}

TEST_P(Encoders, GradientIsAFiniteDifferenceInTraining) {
  const auto model = load(at::kDouble);
  Call call = training();
  const auto file = golden(GetParam());
  Stream source = golden_stream(*file, at::kDouble);
  const at::Tensor cotangent = file->read("cotangent").to(at::kDouble), embeds = source.embeds;
  const auto value = [&](const at::Tensor& x) {
    source.embeds = x;
    return (model->forward(call, source, nullptr, nullptr) * cotangent).sum().item<double>();
  };
  const at::Tensor gradient = run(call, *model, source, cotangent).gradient;
  for (unsigned seed = 1; seed <= 3; ++seed) EXPECT_LT(directional_error(value, embeds, gradient, seed), 1e-6);
}

TEST_P(Encoders, TooManyTokensAreRefused) {
  const auto model = load(at::kFloat);
  const int64_t width = model->info().input_width();
  model->forward({}, stream({40}, noise({40, width}, at::kFloat, 1)), nullptr, nullptr);
  try {
    model->forward({}, stream({41}, noise({41, width}, at::kFloat, 1)), nullptr, nullptr);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::bad_input);
    EXPECT_NE(std::string(error.what()).find("40 tokens"), std::string::npos) << error.what();
  }
}

TEST_P(Encoders, WritesNoText) {
  try {
    as_text_model(*load(at::kFloat));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::usage);
    EXPECT_NE(std::string(error.what()).find("received " + GetParam() + ", an encoder"), std::string::npos) << error.what();
  }
}

INSTANTIATE_TEST_SUITE_P(Families, Encoders, testing::Values("bert", "roberta", "albert", "xlm-roberta", "mpnet"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// The same weights under other names: with or without the prefix, and the old names of LayerNorm's.
TEST(Bert, NamesOfAllAges) {
  const fs::path folder = fs::path(testing::TempDir()) / "dept-bert-names";
  const auto file = open_weights(data("bert"));
  const auto embeds = golden("bert")->read("embeds");
  const auto hidden = [&](const fs::path& path) {
    return load_backbone(path, context(at::kFloat))->forward({}, stream({24}, embeds), nullptr, nullptr);
  };
  NamedTensors renamed;
  for (const TensorInfo& tensor : file->tensors()) {
    std::string name = tensor.name.rfind("bert.", 0) == 0 ? tensor.name.substr(5) : tensor.name;
    const size_t norm = name.find("LayerNorm.");
    if (norm != std::string::npos)
      name = name.substr(0, norm) + (name.ends_with("weight") ? "LayerNorm.gamma" : "LayerNorm.beta");
    if (name.rfind("pooler", 0) != 0) renamed.emplace_back(name, file->read(tensor.name));
  }
  fs::create_directories(folder);
  fs::copy_file(data("bert") / "config.json", folder / "config.json", fs::copy_options::overwrite_existing);
  save_safetensors(folder / "model.safetensors", renamed);
  EXPECT_TRUE(hidden(folder).equal(hidden(data("bert"))));

  const at::Tensor x = noise({2, 32}, at::kFloat, 3);
  const auto without_pooler = load_backbone(folder, context(at::kFloat));
  EXPECT_TRUE(without_pooler->pool(x).equal(x));
  EXPECT_FALSE(load_backbone(data("bert"), context(at::kFloat))->pool(x).equal(x));
  fs::remove_all(folder);
}

TEST(Bert, RefusesWhatItDoesNotCompute) {
  const fs::path folder = fs::path(testing::TempDir()) / "dept-bert-config";
  fs::create_directories(folder);
  for (const auto& [key, value, expected] : std::vector<std::tuple<std::string, Json, std::string>>{
           {"hidden_act", "tanh", "relu, gelu, gelu_new, gelu_pytorch_tanh, silu or swish"},
           {"position_embedding_type", "relative_key", "absolute"},
           {"is_decoder", true, "is_decoder"},
           {"num_attention_heads", 5, "a divisor of 32"},
           {"hidden_dropout_prob", 1.5, "hidden_dropout_prob"},
           {"max_position_embeddings", int64_t{1} << 60, "2^24"}}) {
    Json config = read_json(data("bert") / "config.json");
    config[key] = value;
    write_atomic(folder / "config.json", config.dump());
    try {
      read_model_info(folder);
      ADD_FAILURE() << key;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::bad_input);
      EXPECT_NE(std::string(error.what()).find(expected), std::string::npos) << error.what();
    }
  }
  fs::remove_all(folder);
}

}  // namespace
}  // namespace dept::parity
