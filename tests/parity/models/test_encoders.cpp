// BERT and its relatives against transformers (make/encoders.py), and against themselves in other forms.
#include <map>
#include <optional>

#include "dept/base/text.h"
#include "models/bert_encoder.h"
#include "support.h"

namespace dept::parity {
namespace {

struct EncoderPass {
  at::Tensor hidden, gradient;
};

class Encoders : public testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<Backbone> load(c10::ScalarType dtype) const { return load_backbone(data(GetParam()), context(dtype)); }

  static bool has_positions() { return GetParam() != "deberta"; }
  std::string type() const { return read_json(data(GetParam()) / "config.json")["model_type"]; }

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

struct Head {
  HeadForm form;
  double dropout, input_dropout;
  std::optional<kernels::Activation> unit;
};

// Of the tiny model of each type, as its configuration says.
const std::map<std::string, Head> heads = {{"bert", {HeadForm::classifier, 0.1, 0.1, {}}},
                                           {"albert", {HeadForm::classifier, 0.1, 0.1, {}}},
                                           {"roberta", {HeadForm::dense, 0.2, 0.2, {}}},
                                           {"xlm-roberta", {HeadForm::dense, 0.2, 0.2, {}}},
                                           {"mpnet", {HeadForm::dense, 0.1, 0.1, {}}},
                                           {"distilbert", {HeadForm::pre_classifier, 0.2, 0, kernels::Activation::relu}},
                                           {"electra", {HeadForm::dense, 0.2, 0.2, kernels::Activation::gelu}},
                                           {"electra-wide", {HeadForm::dense, 0.1, 0.1, kernels::Activation::gelu}},
                                           {"modernbert", {HeadForm::classifier, 0.1, 0, {}}},
                                           {"modernbert-biases", {HeadForm::classifier, 0, 0, {}}},
                                           {"deberta", {HeadForm::pooler, 0.3, 0.2, kernels::Activation::gelu}},
                                           {"deberta-v2", {HeadForm::pooler, 0.1, 0, kernels::Activation::gelu}},
                                           {"deberta-far", {HeadForm::pooler, 0.1, 0, kernels::Activation::gelu}}};

TEST_P(Encoders, ConfigIsRead) {
  const ModelInfo info = read_model_info(data(GetParam()));
  EXPECT_EQ(info.model_type, type());
  EXPECT_EQ(info.architecture, Architecture::encoder);
  EXPECT_EQ(info.hidden, 32);
  EXPECT_EQ(info.heads, 4);
  EXPECT_EQ(info.vocab, 96);
  EXPECT_EQ(info.dropout, 0.1);
  EXPECT_EQ(info.max_positions, has_positions() ? 40 : 0) << "RoBERTa's table has 42 rows, two of them in front";
  const Head& head = heads.at(GetParam());
  EXPECT_EQ(info.head, head.form);
  EXPECT_EQ(info.head_rules.dropout, head.dropout);
  EXPECT_EQ(info.head_rules.input_dropout, head.input_dropout);
  EXPECT_EQ(info.head_rules.unit, head.unit);
}

TEST_P(Encoders, ParametersAreCounted) {
  int64_t stored = 0;
  const auto file = open_weights(data(GetParam()));
  for (const TensorInfo& tensor : file->tensors()) {
    int64_t count = 1;
    for (int64_t size : tensor.shape) count *= size;
    const auto begins = [&](const char* part) { return tensor.name.starts_with(part); };
    stored += begins("classifier.") || begins("pre_classifier.") || (type() == "deberta-v2" && begins("pooler.")) ? 0 : count;
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

TEST_P(Encoders, WantedTokensAloneAreThoseOfAll) {
  expect_wanted_alone(*load(at::kDouble), golden_stream(*golden(GetParam()), at::kDouble), 1e-12);
  expect_wanted_alone(*load(at::kBFloat16), golden_stream(*golden(GetParam()), at::kFloat), 1e-2);
}

TEST(Encoders, WantedTokensAloneOfASingleBlock) {
  for (const std::string name : {"bert", "modernbert", "deberta-v2"}) {  // the last one's convolution reads all
    Json config = read_json(data(name) / "config.json");
    config["num_hidden_layers"] = 1;
    config["layer_types"] = nullptr;
    const auto model = random_backbone(config, context(at::kDouble), 4);
    expect_wanted_alone(*model, stream({9, 14}, noise({23, model->info().input_width()}, at::kDouble, 2)), 1e-12);
  }
}

TEST_P(Encoders, TooManyTokensAreRefused) {
  if (!has_positions()) GTEST_SKIP() << "it counts distances alone";
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
    EXPECT_NE(std::string(error.what()).find("received " + type() + ", an encoder"), std::string::npos) << error.what();
  }
}

INSTANTIATE_TEST_SUITE_P(Families, Encoders,
                         testing::Values("bert", "roberta", "albert", "xlm-roberta", "mpnet", "distilbert", "electra",
                                         "electra-wide", "modernbert", "modernbert-biases", "deberta", "deberta-v2",
                                         "deberta-far"),
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

TEST(Deberta, RowsOfDistancesEqualTransformers) {
  const auto file = golden("deberta");
  for (const auto& [buckets, farthest] : {std::pair<int64_t, int64_t>{256, 512}, {6, 10}, {0, 40}}) {
    const Lengths expected = as_lengths(file->read(str("rows.", buckets, ".", farthest)));
    const Lengths found = as_lengths(DistanceRows{.buckets = buckets, .farthest = farthest}.rows(600));
    ASSERT_EQ(expected.size(), 1201u);
    for (size_t i = 0; i < expected.size(); ++i)
      EXPECT_EQ(found[i], expected[i]) << "distance " << static_cast<int64_t>(i) - 600 << " of " << buckets << " up to "
                                       << farthest;
  }
}

TEST(Encoders, RefuseWhatTheyDoNotCompute) {
  const fs::path folder = fs::path(testing::TempDir()) / "dept-encoder-config";
  fs::create_directories(folder);
  for (const auto& [model, key, value, expected] : std::vector<std::tuple<const char*, std::string, Json, std::string>>{
           {"bert", "hidden_act", "tanh", "relu, gelu, gelu_new, gelu_pytorch_tanh, silu or swish"},
           {"bert", "position_embedding_type", "relative_key", "absolute"},
           {"bert", "is_decoder", true, "is_decoder"},
           {"bert", "num_attention_heads", 5, "a divisor of 32"},
           {"bert", "hidden_dropout_prob", 1.5, "hidden_dropout_prob"},
           {"bert", "max_position_embeddings", int64_t{1} << 60, "2^24"},
           {"distilbert", "n_heads", 5, "n_heads] expected a divisor of 32"},
           {"distilbert", "hidden_size", 48, "hidden_size] expected 32, as dim says"},
           {"distilbert", "activation", "tanh", "activation] expected relu"},
           {"distilbert", "seq_classif_dropout", -1, "seq_classif_dropout"},
           {"distilbert", "dim", "wide", "dim] expected an integer"},
           {"electra", "embedding_size", 0, "embedding_size] expected a size"},
           {"electra", "num_attention_heads", 5, "num_attention_heads] expected a divisor of 32"},
           {"electra", "position_embedding_type", "relative_key", "position_embedding_type"},
           {"deberta", "relative_attention", false, "relative_attention] expected true"},
           {"deberta", "pos_att_type", {"c2p", "p2p"}, "pos_att_type] expected p2c or c2p, received \"p2p\""},
           {"deberta", "norm_rel_ebd", "batch_norm", "norm_rel_ebd] expected none or layer_norm"},
           {"deberta", "position_buckets", 2, "position_buckets] expected at least 4"},
           {"deberta", "max_relative_positions", int64_t{1} << 40, "max_relative_positions] expected at most"},
           {"deberta", "conv_kernel_size", 4, "conv_kernel_size] expected 0, or an odd number"},
           {"deberta-v2", "conv_act", "tanh", "conv_act] expected relu"},
           {"deberta-v2", "conv_groups", 2, "conv_groups] expected none or 1"},
           {"deberta", "embedding_size", 16, "embedding_size] expected none or 32"},
           {"deberta", "pooler_hidden_act", "mish", "pooler_hidden_act] expected relu"},
           {"modernbert", "num_attention_heads", 5, "num_attention_heads] expected a divisor of hidden_size, 32"},
           {"modernbert", "global_attn_every_n_layers", 0, "global_attn_every_n_layers] expected at least 1"},
           {"modernbert", "layer_types", {"full_attention"}, "layer_types] expected 3 types"},
           {"modernbert", "local_attention", 0, "local_attention] expected a size"},
           {"modernbert", "classifier_activation", "tanh", "classifier_activation] expected relu"},
           {"modernbert", "norm_eps", -1, "norm_eps] expected a number from 0 to 1"},
           {"modernbert-biases", "rope_parameters", {{"rope_theta", 7.0}}, "rope_parameters] expected full_attention"}}) {
    Json config = read_json(data(model) / "config.json");
    config[key] = value;
    write_atomic(folder / "config.json", config.dump());
    try {
      read_model_info(folder);
      ADD_FAILURE() << model << ": " << key;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::bad_input);
      EXPECT_NE(std::string(error.what()).find(expected), std::string::npos) << error.what();
    }
  }
  fs::remove_all(folder);
}

}  // namespace
}  // namespace dept::parity
