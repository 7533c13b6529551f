// Hashing of short byte strings and integers for the flat tables of this folder.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace dept {

/// A 128-bit product folded: every input bit reaches every output bit.
inline uint64_t mix(uint64_t a, uint64_t b = 0x9E3779B97F4A7C15) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

inline uint64_t hash_bytes(std::string_view bytes) {
  uint64_t hash = 0x243F6A8885A308D3 ^ bytes.size();
  const char* p = bytes.data();
  size_t left = bytes.size();
  for (; left >= 8; p += 8, left -= 8) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    hash = mix(hash ^ word, 0xA0761D6478BD642F);
  }
  uint64_t tail = 0;
  std::memcpy(&tail, p, left);
  return mix(hash ^ tail, 0xE7037ED1A0B428DB);
}

}  // namespace dept
