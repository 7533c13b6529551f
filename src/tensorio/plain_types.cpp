#include "tensorio/plain_types.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstring>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "tensorio/parallel.h"

namespace dept {
namespace {

constexpr PlainType plain_types[] = {
    {"F32", at::kFloat, 4},
    {"BF16", at::kBFloat16, 2},
    {"F16", at::kHalf, 2},
    {"F64", at::kDouble, 8},
    {"I64", at::kLong, 8},
    {"I32", at::kInt, 4},
    {"I16", at::kShort, 2},
    {"I8", at::kChar, 1},
    {"U64", at::kUInt64, 8},
    {"U32", at::kUInt32, 4},
    {"U16", at::kUInt16, 2},
    {"U8", at::kByte, 1},
    {"BOOL", at::kBool, 1},
    {"C64", at::kComplexFloat, 8},
    {"F8_E4M3", at::kFloat8_e4m3fn, 1},
    {"F8_E5M2", at::kFloat8_e5m2, 1},
    {"F8_E8M0", at::kFloat8_e8m0fnu, 1},
};

constexpr size_t piece_elements = size_t{1} << 14;  // converted at a time: they stay in the cache

}  // namespace

const PlainType* find_plain_type(std::string_view name) {
  for (const PlainType& type : plain_types)
    if (type.name == name) return &type;
  return nullptr;
}

const PlainType* find_plain_type(at::ScalarType scalar) {
  for (const PlainType& type : plain_types)
    if (type.scalar == scalar) return &type;
  return nullptr;
}

std::optional<uint64_t> element_count(std::span<const int64_t> shape) {
  int64_t product = 1;
  bool empty = false;
  for (const int64_t size : shape) {
    empty |= size == 0;
    if (size != 0 && __builtin_mul_overflow(product, size, &product)) return std::nullopt;
  }
  return empty ? 0 : static_cast<uint64_t>(product);
}

std::string shape_text(std::span<const int64_t> shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += str(i == 0 ? "" : ", ", shape[i]);
  return text + "]";
}

at::Tensor copy_plain(std::span<const std::byte> bytes, std::span<const int64_t> shape, const PlainType& type,
                      at::ScalarType dtype, std::string_view where) {
  if (type.scalar == at::kBool)
    for (const std::byte byte : bytes)
      if (byte > std::byte{1}) fail(Code::bad_input, where, "booleans stored as 0 or 1", str(static_cast<int>(byte)));
  at::Tensor tensor = at::empty(at::IntArrayRef(shape.data(), shape.size()), at::TensorOptions(dtype));
  if (bytes.empty()) return tensor;
  const at::Tensor out = tensor.view(-1);
  parallel_ranges(bytes.size() / type.bytes, size_t{1} << 18, [&](size_t begin, size_t end) {
    const auto piece = [&](size_t from) { return static_cast<int64_t>(std::min(piece_elements, end - from)); };
    const at::Tensor near = at::empty(piece(begin), at::TensorOptions(type.scalar));
    for (size_t from = begin; from < end; from += piece_elements) {
      const at::Tensor stored = near.narrow(0, 0, piece(from));
      std::memcpy(stored.data_ptr(), bytes.data() + from * type.bytes, stored.nbytes());
      out.narrow(0, static_cast<int64_t>(from), piece(from)).copy_(stored);
    }
  });
  return tensor;
}

}  // namespace dept
