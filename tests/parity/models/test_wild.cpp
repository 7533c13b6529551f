// Models in the forms that are about against transformers (make/wild_models.py): 8-bit floats with scales, a head beside ties,
// T5's embedding under its other names, GGUF with biases and in shards.
#include <gmock/gmock.h>

#include "dept/tensorio/gguf.h"
#include "support.h"
#include "unit/base/scratch.h"

namespace dept::parity {
namespace {

using testing::HasSubstr;

fs::path wild(const std::string& name) {
  return data("wild/" + name);
}

at::Tensor logits_of(const fs::path& path, const TensorSource& file, at::ScalarType dtype = at::kFloat) {
  const auto model = load_text_model(path, context(dtype));
  const auto words = [&](const char* key) {
    const at::Tensor ids = file.read(key);
    return stream({ids.numel()}, model->embed(ids).to(model->context().residual()));
  };
  const bool two = file.find("target") != nullptr;
  const Stream target = two ? words("target") : Stream{};
  return model->logits(model->forward({}, words("ids"), two ? &target : nullptr, nullptr));
}

class Wild : public testing::TestWithParam<std::string> {};

TEST_P(Wild, EqualsTransformers) {
  const auto file = golden("wild/" + GetParam());
  EXPECT_LT(relative_error(logits_of(wild(GetParam()), *file), file->read("logits")), 1e-5);
  EXPECT_LT(relative_error(logits_of(wild(GetParam()), *file, at::kDouble), file->read("logits")), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(All, Wild,
                         testing::Values("fp8-blocks", "fp8-cut-blocks", "fp8-powers-of-two", "fp8-static", "fp8-weight-scale",
                                         "tied-llama", "tied-gpt2", "tied-t5", "tied-mt5", "t5-encoder-table", "t5-decoder-table",
                                         "t5-both-tables", "t5-tables-and-head", "t5-decoder-table-and-head"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(WildGguf, BiasesEqualTransformers) {
  const auto file = golden("wild/llama-biases");
  EXPECT_LT(relative_error(logits_of(wild("llama-biases.gguf"), *file), file->read("logits")), 1e-5);
}

TEST(WildGguf, ShardsAreOneModelFromThePathOfAny) {
  const auto file = golden("wild/llama-biases");
  const at::Tensor whole = logits_of(wild("llama-biases.gguf"), *file);
  for (int i = 1; i <= 3; ++i)
    EXPECT_TRUE(logits_of(wild(str("llama-biases-split-0000", i, "-of-00003.gguf")), *file).equal(whole)) << i;
}

class Shards : public testing::Test {
 protected:
  Shards() {
    for (int i = 1; i <= 3; ++i) fs::copy_file(wild(name(i)), scratch_ / name(i));
  }
  static std::string name(int i) { return str("llama-biases-split-0000", i, "-of-00003.gguf"); }
  std::string refusal(Code code, int shard = 1) const {
    return error_of(code, [&] { open_gguf(scratch_ / name(shard)); });
  }
  const Scratch scratch_;
};

TEST_F(Shards, OneThatIsMissingIsNamed) {
  fs::remove(scratch_ / name(2));
  EXPECT_THAT(refusal(Code::io), HasSubstr(name(2) + "] expected shard 2 of the model's 3, received no such file"));
  EXPECT_THAT(refusal(Code::io, 3), HasSubstr(name(2)));
}

TEST_F(Shards, OfAnotherNameOrPlaceAreRefused) {
  fs::copy_file(scratch_ / name(1), scratch_ / "renamed.gguf");
  EXPECT_THAT(error_of(Code::bad_input, [&] { open_gguf(scratch_ / "renamed.gguf"); }),
              HasSubstr("expected a name that ends in -00001-of-00003.gguf"));
  fs::copy_file(scratch_ / name(2), scratch_ / name(3), fs::copy_options::overwrite_existing);
  EXPECT_THAT(refusal(Code::bad_input), HasSubstr("split.no] expected 2, received 1"));
  fs::copy_file(wild("llama-biases.gguf"), scratch_ / name(3), fs::copy_options::overwrite_existing);
  EXPECT_THAT(refusal(Code::bad_input), HasSubstr("split.no"));
}

TEST(WildFp8, AScaleOfAnotherShapeOrNoneIsRefused) {
  const Scratch scratch;
  const auto file = open_weights(wild("fp8-blocks"));
  const std::string matrix = "model.layers.1.mlp.up_proj.weight", scale = matrix + "_scale_inv";
  fs::copy_file(wild("fp8-blocks") / "config.json", scratch / "config.json");
  const auto refusal = [&](const at::Tensor& instead) {
    NamedTensors tensors;
    for (const TensorInfo& info : file->tensors())
      if (info.name != scale) tensors.emplace_back(info.name, file->read(info.name));
    if (instead.defined()) tensors.emplace_back(scale, instead);
    save_safetensors(scratch / "model.safetensors", tensors);
    return error_of(Code::bad_input, [&] { load_backbone(scratch.path(), context(at::kFloat)); });
  };
  EXPECT_THAT(refusal({}), HasSubstr(matrix + "] expected a tensor of its scale beside it"));
  EXPECT_THAT(refusal(at::ones({3, 3})), HasSubstr(scale + "] expected the shape [3, 4]"));
  EXPECT_THAT(refusal(at::full({3, 4}, std::numeric_limits<double>::infinity(), at::kFloat)), HasSubstr(scale));
}

TEST(WildT5, TablesThatDifferAreRefused) {
  const Scratch scratch;
  const auto file = open_weights(wild("t5-both-tables"));
  NamedTensors tensors;
  for (const TensorInfo& info : file->tensors())
    tensors.emplace_back(info.name, file->read(info.name) + (info.name.starts_with("decoder.embed") ? 1 : 0));
  save_safetensors(scratch / "model.safetensors", tensors);
  fs::copy_file(wild("t5-both-tables") / "config.json", scratch / "config.json");
  EXPECT_THAT(error_of(Code::bad_input, [&] { load_backbone(scratch.path(), context(at::kFloat)); }),
              HasSubstr("decoder.embed_tokens.weight] expected the same numbers as encoder.embed_tokens.weight"));
}

}  // namespace
}  // namespace dept::parity
