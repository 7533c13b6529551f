// What safetensors and GGUF share: element types stored as torch stores them, and checked sizes.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dept {

struct PlainType {
  std::string_view name;  // as both formats spell it
  at::ScalarType scalar;
  uint64_t bytes;  // of one element
};

const PlainType* find_plain_type(std::string_view name);
const PlainType* find_plain_type(at::ScalarType scalar);

/// The product of the dimensions; nothing when it, or the product of the dimensions other than 0 (torch's strides), overflows
/// int64.
std::optional<uint64_t> element_count(std::span<const int64_t> shape);

/// "[2, 3]"
std::string shape_text(std::span<const int64_t> shape);

/// A new contiguous CPU tensor of `dtype` from its stored bytes. `where` names file and tensor; refuses booleans other than 0
/// and 1.
at::Tensor copy_plain(std::span<const std::byte> bytes, std::span<const int64_t> shape, const PlainType& type,
                      at::ScalarType dtype, std::string_view where);

}  // namespace dept
