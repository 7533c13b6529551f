// GGML's tensor types: how many values a block holds, in how many bytes, and what they are worth.
// Layouts as in ggml-common.h of llama.cpp; k-quants are blocks of 256 values.
#pragma once

#include <c10/core/ScalarType.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace dept {

/// Writes the values of `blocks` blocks at `stored` to `out`.
using Dequantise = void (*)(const std::byte* stored, float* out, size_t blocks);

struct GgmlType {
  std::string_view name;
  uint64_t block_values, block_bytes;
  Dequantise dequantise;                // null for types that torch has itself
  std::span<const size_t> scales;       // where a block has its fp16 scales: its values are finite if they are
  uint32_t id;                          // in the file
  std::optional<at::ScalarType> plain;  // empty for blocks
};

/// Null for types that we cannot read.
const GgmlType* find_ggml_type(uint32_t id);
const GgmlType* find_ggml_type(std::string_view name);

/// The readable types' names, for messages.
std::string_view ggml_type_names();

}  // namespace dept
