#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>

#include <limits>

#include "build.h"
#include "dept/tensorio/tensor_source.h"

namespace dept {
namespace {

using testing::HasSubstr;

at::Tensor numbers(at::ScalarType type, at::IntArrayRef shape) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return at::arange(count, at::TensorOptions(at::kFloat)).reshape(shape).to(type);
}

TEST(Safetensors, WritesAndReadsEachType) {
  const Scratch folder;
  NamedTensors tensors;
  for (const at::ScalarType type : {at::kBool, at::kByte, at::kInt, at::kLong, at::kHalf, at::kBFloat16, at::kFloat, at::kDouble})
    tensors.emplace_back(at::toString(type), numbers(type, {2, 3}));
  tensors.emplace_back("transposed", numbers(at::kFloat, {2, 3}).t());
  save_safetensors(folder / "a.safetensors", tensors, {{"k", "v"}});
  const auto file = open_safetensors(folder / "a.safetensors");
  ASSERT_EQ(file->tensors().size(), tensors.size());
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor read = file->read(name);
    EXPECT_EQ(read.scalar_type(), tensor.scalar_type());
    EXPECT_TRUE(at::equal(read, tensor)) << name;
  }
  EXPECT_EQ(file->tensors().front().name, "Long") << "wide types come first";
  EXPECT_EQ(file->tensors()[1].name, "Double") << "in the given order among equals";
  const std::string bytes = read_file(folder / "a.safetensors");
  EXPECT_EQ(bytes[0] % 8, 0) << "the data is aligned";
  save_safetensors(folder / "b.safetensors", tensors, {{"k", "v"}});
  EXPECT_EQ(bytes, read_file(folder / "b.safetensors"));
}

TEST(Safetensors, ReadValuesOutliveTheFile) {
  const Scratch folder;
  save_safetensors(folder / "a.safetensors", {{"x", at::ones({4})}});
  auto file = open_safetensors(folder / "a.safetensors");
  const at::Tensor x = file->read("x");
  file->drop_pages();
  file.reset();
  EXPECT_TRUE(at::equal(x, at::ones({4})));
}

TEST(Safetensors, TypedReadChecksShapeTypeAndValues) {
  const Scratch folder;
  const float infinity = std::numeric_limits<float>::infinity();
  save_safetensors(folder / "a.safetensors", {{"good", numbers(at::kFloat, {2, 3})},
                                              {"nan", at::full({40}, std::nan(""))},
                                              {"inf", at::full({1}, -infinity, at::kHalf)},
                                              {"large", at::full({1}, 1e39, at::kDouble)},
                                              {"whole", numbers(at::kLong, {3})}});
  const auto file = open_safetensors(folder / "a.safetensors");
  EXPECT_EQ(file->read("good", {2, 3}, at::kBFloat16).scalar_type(), at::kBFloat16);
  EXPECT_EQ(file->read("large", {1}, at::kDouble).item<double>(), 1e39);
  EXPECT_TRUE(at::equal(file->read("whole", {3}, at::kInt), numbers(at::kInt, {3})));
  EXPECT_THAT(error_of(Code::bad_input,
                       [&] {
                         file->read("good", {3, 2}, at::kFloat);
                       }),
              testing::EndsWith("a.safetensors: good] expected the shape [3, 2], received [2, 3]"));
  EXPECT_THAT(error_of(Code::bad_input, [&] { file->read("nan", {40}, at::kFloat); }), HasSubstr("nan] expected finite numbers"));
  EXPECT_THAT(error_of(Code::bad_input, [&] { file->read("inf", {1}, at::kFloat); }), HasSubstr("inf] expected finite numbers"));
  EXPECT_THAT(error_of(Code::bad_input, [&] { file->read("large", {1}, at::kFloat); }),
              HasSubstr("large] expected finite numbers"));
  EXPECT_THAT(error_of(Code::bad_input, [&] { file->read("whole", {3}, at::kFloat); }),
              HasSubstr("whole] expected a floating-point type, received I64"));
  EXPECT_THAT(error_of(Code::bad_input, [&] { file->read("absent", {3}, at::kFloat); }),
              HasSubstr("absent] expected this tensor"));
  EXPECT_THAT(error_of(Code::bad_input, [&] { file->read("absent"); }), HasSubstr("absent] expected this tensor"));
}

TEST(Safetensors, WriterRefusesItsCallersMistakes) {
  const Scratch folder;
  const auto save = [&](const NamedTensors& tensors) { save_safetensors(folder / "a.safetensors", tensors); };
  error_of(Code::bug, [&] { save({{"x", at::ones(1)}, {"x", at::ones(1)}}); });
  error_of(Code::bug, [&] { save({{"__metadata__", at::ones(1)}}); });
  error_of(Code::bug, [&] { save({{"\xff", at::ones(1)}}); });
  error_of(Code::bug, [&] { save({{"x", at::Tensor()}}); });
  EXPECT_FALSE(fs::exists(folder / "a.safetensors"));
  error_of(Code::io, [&] { save_safetensors(folder / "no/such/folder", {}); });
}

struct RefusedFile {
  std::string name, bytes, message;
};
void PrintTo(const RefusedFile& refusal, std::ostream* out) {
  *out << refusal.name;
}

class RefusedSafetensors : public testing::TestWithParam<RefusedFile> {};

TEST_P(RefusedSafetensors, InOneLine) {
  const Scratch folder;
  const fs::path path = folder.write("bad.safetensors", GetParam().bytes);
  const std::string message = error_of(Code::bad_input, [&] { open_safetensors(path); });
  EXPECT_THAT(message, HasSubstr(GetParam().message));
  EXPECT_THAT(message, HasSubstr("bad.safetensors"));
  EXPECT_EQ(message.find('\n'), std::string::npos);
}

const std::string four(4, '\0'), eight(8, '\0');

RefusedFile header(std::string name, std::string_view text, std::string_view data, std::string message) {
  return {std::move(name), safetensors_bytes(text, data), std::move(message)};
}

INSTANTIATE_TEST_SUITE_P(
    All, RefusedSafetensors,
    testing::Values(
        RefusedFile{"Empty", "", "expected a safetensors file, received 0 bytes"},
        RefusedFile{"SevenBytes", "1234567", "received 7 bytes"},
        RefusedFile{"HugeHeader", raw(uint64_t{1} << 60) + "{}",
                    "expected a header of at most 2 bytes, received 1152921504606846976"},
        RefusedFile{"LargestHeader", raw(~uint64_t{0}) + "{}", "expected a header of at most 2 bytes"},
        RefusedFile{"LongerThanTheFile", raw(uint64_t{3}) + "{}", "expected a header of at most 2 bytes, received 3"},
        header("NoHeader", "", "", "begins with {"), header("ByteOrderMark", "\xEF\xBB\xBF{}", "", "begins with {"),
        header("List", "[]", "", "begins with {"), header("Truncated", R"({"a":{"dtype":"F32")", "", "valid JSON"),
        header("TextBehind", "{}x", "", "valid JSON"), header("TwoObjects", "{}{}", "", "valid JSON"),
        header("BrokenUtf8", "{\"\xff\":{}}", "", "valid JSON"),
        header("Deep", "{\"a\":" + std::string(100000, '['), "", "expected an object for each tensor, received a list"),
        header("TrailingData", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", four + "x",
               "expected 4 bytes of tensors after the header, received 5"),
        header("OnlyData", "{}", four, "expected 0 bytes of tensors"),
        header("ShortData", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "abc", "inside the 3 bytes"),
        header("KeyTwice",
               R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
               four, "\"a\" twice"),
        header("FieldTwice", R"({"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})", four, "\"dtype\" twice"),
        header("MetadataTwice", R"({"__metadata__":{"k":"a","k":"b"}})", "", "\"k\" twice"),
        header("MetadataOfNumbers", R"({"__metadata__":{"k":1}})", "", "expected metadata of strings, received 1"),
        header("MetadataNested", R"({"__metadata__":{"k":{}}})", "", "expected metadata of strings, received an object"),
        header("Hole", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", eight,
               "from byte 0 (no holes, no overlaps), received from byte 4"),
        header("Overlap",
               R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}})",
               eight, "\"b\"] expected data from byte 4"),
        header("SameData",
               R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
               four, "expected data from byte 4"),
        header("Backwards", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", four,
               "\"a\"] expected data from byte 0"),
        header("SizeMismatch", R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", four,
               "expected 8 bytes for F32 [2], received 4"),
        header("Overflow", R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", "",
               "size below 2^63"),
        header("OverflowOfBytes", R"({"a":{"dtype":"F64","shape":[4611686018427387904],"data_offsets":[0,0]}})", "",
               "size below 2^63"),
        header("OverflowBesideZero", R"({"a":{"dtype":"F32","shape":[0,4294967296,4294967296],"data_offsets":[0,0]}})", "",
               "size below 2^63"),
        header("DimensionOf64Bits", R"({"a":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,4]}})", four,
               "below 2^63, received 18446744073709551615"),
        header("NegativeDimension", R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", four, "received -1"),
        header("FractionalDimension", R"({"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}})", four, "received \"1.0\""),
        header("HugeOffset", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,18446744073709551616]}})", four,
               "two whole numbers below 2^64"),
        header(
            "ManyDimensions",
            "{\"a\":{\"dtype\":\"F32\",\"shape\":[1" +
                [] {
                  std::string s;
                  for (int i = 0; i < 64; ++i) s += ",1";
                  return s;
                }() +
                "],\"data_offsets\":[0,4]}}",
            four, "at most 64 whole numbers"),
        header("ThreeOffsets", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,4]}})", four,
               "expected data_offsets of two"),
        header("OneOffset", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", four,
               "expected dtype, shape and data_offsets, received less"),
        header("NoShape", R"({"a":{"dtype":"F32","data_offsets":[0,4]}})", four,
               "expected dtype, shape and data_offsets, received less"),
        header("UnknownType", R"({"a":{"dtype":"Q4","shape":[1],"data_offsets":[0,4]}})", four,
               "\"a\"] expected a known dtype, received \"Q4\""),
        header("TypeOfNumber", R"({"a":{"dtype":1,"shape":[1],"data_offsets":[0,4]}})", four,
               "expected a known dtype, received 1"),
        header("UnknownField", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}})", four,
               "expected dtype, shape and data_offsets, received \"x\""),
        header("ShapeOfNull", R"({"a":{"dtype":"F32","shape":null,"data_offsets":[0,4]}})", four, "received null"),
        header("NestedShape", R"({"a":{"dtype":"F32","shape":[[1]],"data_offsets":[0,4]}})", four, "received a list"),
        header("TensorOfNumber", R"({"a":1})", "", "expected an object for each tensor, received 1")),
    [](const auto& info) { return info.param.name; });

TEST(Safetensors, BooleansAreZeroOrOne) {
  const Scratch folder;
  const auto file = open_safetensors(
      folder.write("a.safetensors", safetensors_bytes(R"({"a":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}})", "\2")));
  EXPECT_THAT(error_of(Code::bad_input, [&] { file->read("a"); }), HasSubstr("expected booleans stored as 0 or 1, received 2"));
}

TEST(Safetensors, MissingFile) {
  const Scratch folder;
  error_of(Code::io, [&] { open_safetensors(folder / "absent.safetensors"); });
  error_of(Code::io, [&] { open_safetensors(folder.path()); });
}

}  // namespace
}  // namespace dept
