#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>

#include "dept/tensorio/tensor_source.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

using testing::HasSubstr;

// The order in which transformers looks.
TEST(Weights, OfAFolder) {
  const Scratch folder;
  const auto first = [&] { return open_weights(folder.path())->tensors().front().name; };
  EXPECT_THAT(error_of(Code::io, first), HasSubstr("none of them"));
  save_torch_file(folder / "shard.bin", {{"sharded_torch", at::ones(1)}});
  folder.write("pytorch_model.bin.index.json", R"({"weight_map":{"sharded_torch":"shard.bin"}})");
  EXPECT_EQ(first(), "sharded_torch");
  save_torch_file(folder / "pytorch_model.bin", {{"torch", at::ones(1)}});
  EXPECT_EQ(first(), "torch");
  save_safetensors(folder / "shard.safetensors", {{"sharded", at::ones(1)}});
  folder.write("model.safetensors.index.json", R"({"weight_map":{"sharded":"shard.safetensors"}})");
  EXPECT_EQ(first(), "sharded");
  save_safetensors(folder / "model.safetensors", {{"whole", at::ones(1)}});
  EXPECT_EQ(first(), "whole");
}

TEST(Weights, OfAFileByWhatItHolds) {
  const Scratch folder;
  save_torch_file(folder / "a", {{"torch", at::ones(1)}});
  save_safetensors(folder / "b", {{"safe", at::ones(1)}});
  EXPECT_NE(open_weights(folder / "a")->find("torch"), nullptr);
  EXPECT_NE(open_weights(folder / "b")->find("safe"), nullptr);
}

class Shards : public testing::Test {
 protected:
  void SetUp() override {
    save_safetensors(folder / "model-1.safetensors", {{"a", at::zeros({2})}, {"b", at::ones({3})}});
    save_safetensors(folder / "model-2.safetensors", {{"c", at::full({1}, 5.0)}});
  }
  void index(std::string_view weight_map) { folder.write("model.safetensors.index.json", weight_map); }
  std::string refusal(Code code = Code::bad_input) {
    return error_of(code, [&] { open_weights(folder.path()); });
  }
  Scratch folder;
};

TEST_F(Shards, AreOneSource) {
  index(
      R"({"metadata":{"total_size":24},"weight_map":{"c":"model-2.safetensors","a":"model-1.safetensors","b":"model-1.safetensors"}})");
  const auto model = open_weights(folder.path());
  std::string names;
  for (const TensorInfo& info : model->tensors()) names += info.name;
  EXPECT_EQ(names, "abc");
  EXPECT_EQ(model->read("c", {1}, at::kFloat).item<float>(), 5);
  EXPECT_THAT(error_of(Code::bad_input, [&] { model->read("d"); }), HasSubstr("d] expected this tensor"));
}

TEST_F(Shards, RefuseWhatDoesNotFit) {
  index(R"({"weight_map":{"a":"../model-1.safetensors"}})");
  EXPECT_THAT(refusal(), HasSubstr("\"a\"] expected the name of a file in the same folder"));
  index(R"({"weight_map":{"a":"/etc/passwd"}})");
  EXPECT_THAT(refusal(), HasSubstr("the name of a file in the same folder"));
  index(R"({"weight_map":{"a":".."}})");
  EXPECT_THAT(refusal(), HasSubstr("the name of a file in the same folder"));
  index("{\"weight_map\":{\"a\":\"model-1.safetensors\\u0000x\"}}");
  EXPECT_THAT(refusal(), HasSubstr("the name of a file in the same folder"));
  index(R"({"weight_map":{"a":1}})");
  EXPECT_THAT(refusal(), HasSubstr("expected a file name, received number"));
  index(R"({"weight_map":{"d":"model-1.safetensors"}})");
  EXPECT_THAT(refusal(), HasSubstr("model-1.safetensors] expected the tensor \"d\" as the index says"));
  index(R"({"weight_map":{"a":"model-3.safetensors"}})");
  EXPECT_THAT(refusal(Code::io), HasSubstr("model-3.safetensors"));
  index(R"({"weight_map":{}})");
  EXPECT_THAT(refusal(), HasSubstr("expected an object \"weight_map\""));
  index(R"([])");
  EXPECT_THAT(refusal(), HasSubstr("expected an object \"weight_map\""));
  save_safetensors(folder / "model-2.safetensors", {{"a", at::zeros({2})}});
  index(R"({"weight_map":{"b":"model-1.safetensors","a":"model-2.safetensors"}})");
  EXPECT_THAT(refusal(), HasSubstr("expected tensors that no other shard holds, received \"a\""));
}

}  // namespace
}  // namespace dept
