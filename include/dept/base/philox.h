// Philox4x32-10 (Salmon et al., SC11): a counter-based generator, so that any draw can be made again from its coordinates.
#pragma once

#include <array>
#include <cstdint>

namespace dept {

using Philox4 = std::array<uint32_t, 4>;

/// One block of 128 random bits from a 128-bit counter and a 64-bit key.
constexpr Philox4 philox(Philox4 counter, uint64_t key) {
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * counter[0];
    const uint64_t b = uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<uint32_t>(b >> 32) ^ counter[1] ^ k0, static_cast<uint32_t>(b),
               static_cast<uint32_t>(a >> 32) ^ counter[3] ^ k1, static_cast<uint32_t>(a)};
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return counter;
}

}  // namespace dept
