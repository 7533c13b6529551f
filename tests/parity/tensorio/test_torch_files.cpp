// Files of torch.save (tests/parity/make/torch_files.py) hold for us what they hold for torch, bit by bit; those that would run
// something are refused by the name of what they would call, and run nothing.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>

#include <cstring>

#include "dept/base/json.h"
#include "dept/tensorio/tensor_source.h"
#include "unit/base/scratch.h"

namespace dept {
namespace test_torch_files {

using testing::HasSubstr;

const fs::path data = fs::path(DEPT_TEST_DATA) / "parity/data/torch";

bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() &&
         (a.nbytes() == 0 || std::memcmp(a.const_data_ptr(), b.const_data_ptr(), a.nbytes()) == 0);
}

class StateDict : public testing::TestWithParam<int> {};
TEST_P(StateDict, HoldsWhatTorchSaved) {
  const auto file = open_torch_file(data / str("state_", GetParam(), ".bin"));
  const auto values = open_safetensors(data / "state_values.safetensors");
  EXPECT_EQ(file->tensors().size(), values->tensors().size());
  EXPECT_EQ(file->tensors().front().name, "weight") << "in the dict's order";
  for (const TensorInfo& info : values->tensors()) {
    ASSERT_NE(file->find(info.name), nullptr) << info.name;
    EXPECT_EQ(file->find(info.name)->type, info.type) << info.name;
    EXPECT_EQ(file->find(info.name)->bytes, info.bytes) << info.name;
    EXPECT_TRUE(file->read(info.name).is_contiguous()) << info.name;
    EXPECT_TRUE(same_bits(file->read(info.name), values->read(info.name))) << info.name;
  }
}
INSTANTIATE_TEST_SUITE_P(Protocols, StateDict, testing::Values(2, 3, 4, 5));

TEST(TorchFile, ShardsByTheirIndex) {
  const auto model = open_weights(data / "sharded");
  ASSERT_EQ(model->tensors().size(), 3u);
  EXPECT_TRUE(at::equal(model->read("a"), at::arange(6, at::kFloat).view({2, 3})));
  EXPECT_TRUE(at::equal(model->read("c"), at::scalar_tensor(3, at::kLong)));
}

TEST(TorchFile, RefusesEveryCallByNameAndMakesNone) {
  const Json names = read_json(data / "hostile/names.json");
  EXPECT_EQ(names.size(), 12u);
  for (const auto& [file, called] : names.items()) {
    const std::string line = error_of(Code::bad_input, [&, &file = file] { open_weights(data / "hostile" / file); });
    EXPECT_THAT(line, HasSubstr("a call of \"" + called.get<std::string>() + "\"")) << file;
    EXPECT_EQ(line.find('\n'), std::string::npos) << file;
  }
  EXPECT_FALSE(fs::exists("dept-ran-a-pickle"));
}

TEST(TorchFile, RefusesWhatIsNoDictOfTensors) {
  const std::pair<const char*, const char*> cases[] = {{"legacy.bin", "save it with safetensors"},
                                                       {"expanded.bin", "at most the 1 elements of its storage"},
                                                       {"nested.bin", "\"model\"] expected a tensor, received a dict"},
                                                       {"list.bin", "a dict of tensors, received a list"},
                                                       {"no_tensors.bin", "one without tensors"},
                                                       {"compressed.bin", "a compressed or encrypted one"},
                                                       {"bomb.bin", "a compressed or encrypted one"},
                                                       {"big_endian.bin", "byteorder"},
                                                       {"no_storage.bin", "its storage in the file"},
                                                       {"short_storage.bin", "a storage of 16 bytes, received 12"},
                                                       {"deep.bin", "a dict of tensors, received a list"}};
  for (const auto& [file, expected] : cases)
    EXPECT_THAT(error_of(Code::bad_input, [&, &file = file] { open_weights(data / "wrong" / file); }), HasSubstr(expected))
        << file;
}

TEST(TorchFile, RefusesEveryTruncation) {
  const Scratch folder;
  const std::string bytes = read_file(data / "wrong/good.bin");
  for (size_t size = 0; size < bytes.size(); size += 7)
    error_of(Code::bad_input, [&] { open_torch_file(folder.write("cut.bin", std::string_view(bytes).substr(0, size))); });
}

// make/torch_files.py checks that torch.load reads to_torch.bin; here we check that it is what we write.
TEST(TorchFile, WritesWhatTorchWasSeenToRead) {
  const fs::path written = fs::path(testing::TempDir()) / "dept_to_torch.bin";
  save_torch_file(written, {{"prompt_embeddings", (at::arange(48, at::kFloat) / 8 - 3).view({3, 16})},
                            {"half", at::tensor({0.5, -2.0}).to(at::kHalf)},
                            {"scalar", at::scalar_tensor(0.25, at::kFloat)},
                            {"empty", at::zeros({0, 4})},
                            {"ids", at::tensor({int64_t{1} << 40, int64_t{-1}})}});
  const auto file = open_torch_file(written);
  EXPECT_EQ(file->tensors().size(), 5u);
  EXPECT_TRUE(at::equal(file->read("scalar"), at::scalar_tensor(0.25, at::kFloat)));
  EXPECT_EQ(read_file(written), read_file(data / "to_torch.bin")) << "changed: see " << written;
}

}  // namespace test_torch_files
}  // namespace dept
