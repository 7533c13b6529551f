// The JSON header of a safetensors file, read without building a document: the memory taken follows the header's size.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tensorio/plain_types.h"

namespace dept {

struct SafetensorsEntry {
  std::string name;
  const PlainType* type = nullptr;
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;  // in the data after the header
};

/// The header's tensors in the order of their data. Throws bad_input unless they fill [0, data_bytes) without holes or overlaps,
/// each as its shape and type want. `where` names the file.
std::vector<SafetensorsEntry> parse_safetensors_header(std::string_view header, uint64_t data_bytes, std::string_view where);

}  // namespace dept
