// Files made by the Python packages safetensors and gguf (tests/parity/make/tensorio.py) hold for us what they hold for them, bit
// by bit.
#include <ATen/Parallel.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>

#include "dept/base/error.h"
#include "dept/tensorio/gguf.h"

namespace dept {
namespace test_files_of_python {

const fs::path data = fs::path(DEPT_TEST_DATA) / "parity/data/tensorio";

bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() &&
         (a.nbytes() == 0 || std::memcmp(a.const_data_ptr(), b.const_data_ptr(), a.nbytes()) == 0);
}

TEST(PythonFiles, PlainTypesOfSafetensors) {
  const auto file = open_safetensors(data / "plain.safetensors");
  const auto values = open_safetensors(data / "plain_values.safetensors");
  EXPECT_EQ(file->tensors().size(), 15u);
  EXPECT_EQ(file->tensors().front().name, "i64");
  EXPECT_EQ(file->find("scalar")->shape, std::vector<int64_t>{});
  EXPECT_EQ(file->find("empty")->shape, (std::vector<int64_t>{0, 4}));
  for (const TensorInfo& info : values->tensors()) {
    ASSERT_NE(file->find(info.name), nullptr) << info.name;
    EXPECT_TRUE(same_bits(file->read(info.name).to(at::kDouble), values->read(info.name))) << info.name;
  }
}

TEST(PythonFiles, WriterGivesTheirBytes) {
  const auto file = open_safetensors(data / "plain.safetensors");
  NamedTensors tensors;
  for (const TensorInfo& info : file->tensors()) tensors.emplace_back(info.name, file->read(info.name));
  const fs::path written = fs::temp_directory_path() / ("dept-written-" + std::to_string(::getpid()) + ".safetensors");
  save_safetensors(written, tensors, {{"format", "pt"}});
  EXPECT_EQ(read_file(written), read_file(data / "plain.safetensors"));
  fs::remove(written);
}

TEST(PythonFiles, EveryTypeOfGguf) {
  for (const auto& [name, count] : {std::pair<std::string, size_t>{"types", 11}, {"small_types", 4}}) {
    const auto file = open_gguf(data / (name + ".gguf"));
    const auto values = open_safetensors(data / (name + "_values.safetensors"));
    EXPECT_EQ(file->tensors().size(), count);
    for (const TensorInfo& info : file->tensors()) {
      EXPECT_EQ(info.name, "tensor." + info.type);
      EXPECT_TRUE(same_bits(file->read(info.name).to(at::kFloat), values->read(info.name))) << info.name;
    }
  }
}

TEST(PythonFiles, MetadataOfGguf) {
  const auto file = open_gguf(data / "metadata.gguf");
  const Json json = read_json(data / "metadata.json");
  for (const auto& [key, value] : json.items()) {
    if (value.is_boolean()) {
      EXPECT_EQ(std::get<bool>(file->metadata().at(key)), value.get<bool>()) << key;
    } else if (value.is_number_float()) {
      EXPECT_EQ(file->number(key), value.get<double>()) << key;
    } else if (value.is_number()) {
      EXPECT_EQ(file->integer(key), value.get<int64_t>()) << key;
      EXPECT_EQ(file->number(key), value.get<double>()) << key;
    } else if (value.is_string()) {
      EXPECT_EQ(file->string(key), value.get<std::string>()) << key;
    } else if (value.front().is_string()) {
      EXPECT_EQ(file->strings(key), value.get<std::vector<std::string>>()) << key;
    } else if (value.front().is_number_float()) {
      EXPECT_EQ(file->numbers(key), value.get<std::vector<double>>()) << key;
    } else {
      std::vector<int64_t> integers;
      for (const Json& item : value) integers.push_back(item.is_boolean() ? item.get<bool>() : item.get<int64_t>());
      EXPECT_EQ(file->integers(key), integers) << key;
    }
  }
  EXPECT_FALSE(file->has("nested"));
  EXPECT_EQ(file->string("general.architecture"), "test");
  EXPECT_THROW(file->integer("string"), Error);
  EXPECT_THROW(file->string("absent"), Error);
}

}  // namespace test_files_of_python
}  // namespace dept
