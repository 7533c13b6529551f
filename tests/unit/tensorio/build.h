// Builds the bytes of weight files, right or wrong.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "unit/base/scratch.h"

namespace dept {

template <class T>
std::string raw(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

inline std::string safetensors_bytes(std::string_view header, std::string_view data = {}) {
  return raw<uint64_t>(header.size()) + std::string(header) + std::string(data);
}

inline std::string gguf_string(std::string_view text) {
  return raw<uint64_t>(text.size()) + std::string(text);
}

inline std::string gguf_front(uint64_t tensors, uint64_t values, uint32_t version = 3) {
  return "GGUF" + raw(version) + raw(tensors) + raw(values);
}

inline std::string gguf_tensor(std::string_view name, std::initializer_list<uint64_t> sizes, uint32_t type, uint64_t offset) {
  std::string bytes = gguf_string(name) + raw(static_cast<uint32_t>(sizes.size()));
  for (const uint64_t size : sizes) bytes += raw(size);
  return bytes + raw(type) + raw(offset);
}

/// The front padded to 32 bytes and the data after it.
inline std::string gguf_file(std::string front, std::string_view data, size_t alignment = 32) {
  front.resize((front.size() + alignment - 1) / alignment * alignment, '\0');
  return front + std::string(data);
}

}  // namespace dept
