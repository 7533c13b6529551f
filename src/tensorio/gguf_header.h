// The front of a GGUF file: metadata and the table of tensors, read with every length checked against the file before it is used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dept/tensorio/ggml_types.h"
#include "dept/tensorio/gguf.h"

namespace dept {

struct GgufEntry {
  std::string name;
  const GgmlType* type;
  std::vector<int64_t> shape;  // torch's order
  uint64_t begin, bytes;       // from the file's first byte
};

struct GgufHeader {
  std::map<std::string, GgufValue, std::less<>> metadata;
  std::vector<GgufEntry> entries;  // in the order of the table
};

/// Throws bad_input naming file, key or tensor. `where` names the file.
GgufHeader parse_gguf_header(std::span<const std::byte> file, const std::string& where);

}  // namespace dept
