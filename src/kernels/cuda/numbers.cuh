// The numbers of a dropout stream (dept/tensor/dropout_key.h) in a kernel: the same bits as on the CPU.
#pragma once

#include <cstdint>

#include "dept/tensor/dropout_key.h"

namespace dept::kernels::cuda {

/// A DropoutStream as kernels read it.
struct Stream {
  uint32_t seed_low, seed_high, example, micro_step, layer_site;
};

inline Stream stream_of(const DropoutStream& s) {
  return {static_cast<uint32_t>(s.seed), static_cast<uint32_t>(s.seed >> 32), s.example, s.micro_step, s.layer_site};
}

/// Of a thread that reads numbers from left to right: it makes each Philox block once.
class Numbers {
 public:
  __device__ explicit Numbers(const Stream& stream) : stream_(stream) {}

  __device__ uint32_t at(uint64_t element) {
    if (element / 8 != block_) make(element / 8);
    return words_[element % 8 / 2] >> (element % 2 * 16) & 0xFFFF;
  }

 private:
  __device__ void make(uint64_t block) {
    block_ = block;
    uint32_t a = static_cast<uint32_t>(block), b = stream_.example, c = stream_.micro_step;
    uint32_t d = stream_.layer_site ^ static_cast<uint32_t>(block >> 32) << 24;
    uint32_t k0 = stream_.seed_low, k1 = stream_.seed_high;
#pragma unroll
    for (int round = 0; round < 10; ++round) {
      const uint32_t x = __umulhi(0xD2511F53U, a), low_x = 0xD2511F53U * a;
      const uint32_t y = __umulhi(0xCD9E8D57U, c), low_y = 0xCD9E8D57U * c;
      a = y ^ b ^ k0;
      b = low_y;
      c = x ^ d ^ k1;
      d = low_x;
      k0 += 0x9E3779B9U;
      k1 += 0xBB67AE85U;
    }
    words_[0] = a;
    words_[1] = b;
    words_[2] = c;
    words_[3] = d;
  }

  const Stream& stream_;
  uint64_t block_ = ~uint64_t{0};  // none
  uint32_t words_[4];
};

}  // namespace dept::kernels::cuda
