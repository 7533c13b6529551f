#include <ATen/ops/equal.h>
#include <gmock/gmock.h>

#include "build.h"
#include "dept/tensorio/gguf.h"

namespace dept {
namespace {

using testing::HasSubstr;

constexpr uint32_t type_u8 = 0, type_u32 = 4, type_f32 = 6, type_bool = 7, type_string = 8, type_array = 9, type_u64 = 10;
constexpr uint32_t f32 = 0, q4_0 = 2;

std::string value(std::string_view key, uint32_t type, const std::string& bytes) {
  return gguf_string(key) + raw(type) + bytes;
}
std::string array(uint32_t type, uint64_t count, const std::string& bytes = {}) {
  return raw(type) + raw(count) + bytes;
}

TEST(Gguf, ReadsBothVersionsWithTorchsOrderOfDimensions) {
  const Scratch folder;
  std::string data;
  for (int i = 0; i < 6; ++i) data += raw(static_cast<float>(i));
  for (const uint32_t version : {2u, 3u}) {
    const auto file =
        open_gguf(folder.write("a.gguf", gguf_file(gguf_front(1, 0, version) + gguf_tensor("w", {3, 2}, f32, 0), data)));
    EXPECT_EQ(file->tensors().front().shape, (std::vector<int64_t>{2, 3}));
    EXPECT_EQ(file->read("w", {2, 3}, at::kFloat)[1][0].item<float>(), 3);
    EXPECT_THAT(error_of(Code::bad_input, [&] { file->read("v"); }), HasSubstr("a.gguf: v] expected this tensor"));
  }
}

// d = 0.5 (fp16 0x3800); nibble pairs 0x81: value 1 in the first half, 8 in the second.
TEST(Gguf, DequantisesAsTheFormulaSays) {
  const Scratch folder;
  const std::string block = raw<uint16_t>(0x3800) + std::string(16, '\x81');
  const auto file = open_gguf(folder.write("a.gguf", gguf_file(gguf_front(1, 0) + gguf_tensor("w", {32}, q4_0, 0), block)));
  const at::Tensor values = file->read("w");
  EXPECT_EQ(values[0].item<float>(), -3.5f);
  EXPECT_EQ(values[16].item<float>(), 0.0f);
  EXPECT_EQ(file->tensors().front().type, "Q4_0");
  EXPECT_EQ(file->tensors().front().bytes, 18u);
}

TEST(Gguf, HonoursItsAlignment) {
  const Scratch folder;
  const std::string front =
      gguf_front(1, 1) + value("general.alignment", type_u32, raw<uint32_t>(128)) + gguf_tensor("w", {1}, f32, 0);
  const auto file = open_gguf(folder.write("a.gguf", gguf_file(front, raw(2.5f), 128)));
  EXPECT_EQ(file->read("w", {1}, at::kFloat).item<float>(), 2.5f);
}

TEST(Gguf, RefusesNotANumber) {
  const Scratch folder;
  const std::string block = raw<uint16_t>(0x7E00) + std::string(16, '\1');
  const auto file = open_gguf(folder.write("a.gguf", gguf_file(gguf_front(1, 0) + gguf_tensor("w", {32}, q4_0, 0), block)));
  EXPECT_THAT(error_of(Code::bad_input, [&] { file->read("w", {32}, at::kFloat); }), HasSubstr("w] expected finite numbers"));
}

struct Refusal {
  std::string name, bytes, message;
};
void PrintTo(const Refusal& refusal, std::ostream* out) {
  *out << refusal.name;
}

class RefusedGguf : public testing::TestWithParam<Refusal> {};

TEST_P(RefusedGguf, InOneLine) {
  const Scratch folder;
  const fs::path path = folder.write("bad.gguf", GetParam().bytes);
  const std::string message = error_of(Code::bad_input, [&] { open_gguf(path); });
  EXPECT_THAT(message, HasSubstr(GetParam().message));
  EXPECT_THAT(message, HasSubstr("bad.gguf"));
  EXPECT_EQ(message.find('\n'), std::string::npos);
}

Refusal metadata(std::string name, const std::string& bytes, std::string message, uint64_t count = 1) {
  return {std::move(name), gguf_front(0, count) + bytes, std::move(message)};
}

Refusal tensor(std::string name, const std::string& bytes, std::string message, uint64_t count = 1, size_t data = 64) {
  return {std::move(name), gguf_file(gguf_front(count, 0) + bytes, std::string(data, '\0')), std::move(message)};
}

std::string nested_arrays(int depth) {
  std::string bytes;
  for (int i = 0; i < depth; ++i) bytes += array(type_array, 1);
  return bytes + array(type_u8, 1, "x");
}

constexpr uint64_t huge = uint64_t{1} << 60;

INSTANTIATE_TEST_SUITE_P(
    All, RefusedGguf,
    testing::Values(
        Refusal{"Empty", "", "expected a GGUF file"},
        Refusal{"WrongMagic", "GGML" + raw<uint32_t>(3), "expected a GGUF file, received \"GGML\""},
        Refusal{"OnlyMagic", "GGUF", "a file that ends"},
        Refusal{"Version1", gguf_front(0, 0, 1), "expected GGUF version 2 or 3, received version 1"},
        Refusal{"Version4", gguf_front(0, 0, 4), "received version 4"},
        Refusal{"BigEndian", gguf_front(0, 0, 0x03000000), "received a big-endian file"},
        Refusal{"HugeTensorCount", gguf_front(huge, 0), "tensor 1 of 1152921504606846976] expected 8 bytes more"},
        metadata("HugeCount", "", "metadata 1 of 1152921504606846976] expected 8 bytes more", huge),
        metadata("HugeKey", raw(huge), "expected 1152921504606846976 bytes more"),
        metadata("HugeString", value("k", type_string, raw(huge)),
                 "\"k\"] expected 1152921504606846976 bytes more, received a file that ends after 0"),
        metadata("HugeArray", value("k", type_array, array(type_u8, huge)),
                 "expected an array that fits the 0 bytes left, received 1152921504606846976 values"),
        metadata("LargestArray", value("k", type_array, array(type_u64, ~uint64_t{0}) + "12345678"),
                 "expected an array that fits the 8 bytes left"),
        metadata("HugeStrings", value("k", type_array, array(type_string, huge)), "expected an array that fits"),
        metadata("HugeArrays", value("k", type_array, array(type_array, huge)), "expected an array that fits"),
        metadata("HugeInside", value("k", type_array, array(type_array, 1, array(type_f32, huge))),
                 "expected an array that fits"),
        metadata("DeepArrays", value("k", type_array, nested_arrays(20)), "expected arrays nested at most 16 deep"),
        metadata("UnknownKind", value("k", 13, ""), "\"k\"] expected a value type from 0 to 12, received 13"),
        metadata("UnknownKindInside", value("k", type_array, array(99, 1, "x")),
                 "expected a value type from 0 to 12, received 99"),
        metadata("Boolean2", value("k", type_bool, "\2"), "expected a boolean stored as 0 or 1, received 2"),
        metadata("Above63Bits", value("k", type_u64, raw(~uint64_t{0})), "expected a whole number below 2^63"),
        metadata("KeyTwice", value("k", type_u8, "1") + value("k", type_u8, "1"), "\"k\"] expected each key once", 2),
        metadata("Alignment0", value("general.alignment", type_u32, raw<uint32_t>(0)),
                 "general.alignment] expected a power of two"),
        metadata("Alignment48", value("general.alignment", type_u32, raw<uint32_t>(48)),
                 "general.alignment] expected a power of two up to 2^30, received 48"),
        metadata("AlignmentOfText", value("general.alignment", type_string, gguf_string("32")), "received another kind of value"),
        tensor("UnknownType", gguf_tensor("w", {256}, 16, 0), "\"w\"] expected one of the types F32"),
        tensor("FiveDimensions", gguf_tensor("w", {1, 1, 1, 1, 1}, f32, 0), "expected at most 4 dimensions, received 5"),
        tensor("ManyDimensions", gguf_string("w") + raw(~uint32_t{0}), "expected at most 4 dimensions, received 4294967295"),
        tensor("HugeDimension", gguf_tensor("w", {uint64_t{1} << 63}, f32, 0), "expected dimensions below 2^63"),
        tensor("Overflow", gguf_tensor("w", {1ull << 32, 1ull << 32}, f32, 0), "expected a size below 2^63"),
        tensor("OverflowOfBytes", gguf_tensor("w", {1ull << 62}, f32, 0), "\"w\"] expected"),
        tensor("HalfABlock", gguf_tensor("w", {48}, q4_0, 0), "expected rows of whole blocks of 32 values"),
        tensor("BlocksAcrossRows", gguf_tensor("w", {16, 2}, q4_0, 0), "expected rows of whole blocks of 32 values"),
        tensor("Unaligned", gguf_tensor("w", {1}, f32, 4), "expected an offset that is a multiple of 32, received 4"),
        tensor("BehindTheEnd", gguf_tensor("w", {1}, f32, 64),
               "expected 4 bytes from byte 64 of the data, received a file with 64 bytes of data"),
        tensor("OffsetOf2To63", gguf_tensor("w", {1}, f32, 1ull << 63), "received a file with 64 bytes of data"),
        tensor("TooLong", gguf_tensor("w", {17}, f32, 0), "expected 68 bytes from byte 0"),
        tensor("NoData", gguf_tensor("w", {1}, f32, 0), "received a file with 0 bytes of data", 1, 0),
        tensor("Overlap", gguf_tensor("v", {9}, f32, 0) + gguf_tensor("w", {1}, f32, 32),
               "\"w\"] expected data of its own, from byte", 2),
        tensor("SameData", gguf_tensor("v", {1}, f32, 0) + gguf_tensor("w", {1}, f32, 0), "expected data of its own", 2),
        tensor("NameTwice", gguf_tensor("w", {1}, f32, 0) + gguf_tensor("w", {1}, f32, 32), "\"w\"] expected each tensor once",
               2)),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace dept
