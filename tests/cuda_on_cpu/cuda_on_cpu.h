// The language of a .cu file for g++, so that kernels run on the CPU in tests (tests/cuda_on_cpu/README.md). Included before
// everything else; cmake turns launches and shared memory into calls of what is here.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <typeindex>

#define __global__
#define __device__
#define __host__
#define __launch_bounds__(...)
#define __align__(n)

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}  // NOLINT: CUDA's converts, too
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) {
  return {x, y, z, w};
}

using cudaStream_t = void*;
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize };
template <class Kernel>
int cudaFuncSetAttribute(Kernel*, cudaFuncAttribute, size_t) {
  return 0;
}

namespace cuda_on_cpu {

constexpr unsigned warp_size = 32;

/// Which warp runs as far ahead of the others as barriers let it: a kernel that lacks a barrier is wrong in one of the two.
enum class Ahead { first_warp, last_warp };
extern Ahead ahead;

/// Runs `body` for each thread of each block, blocks one after the other. Aborts with one line for a launch that no GPU takes,
/// for a barrier that not all threads of a block reach, and for a warp function that not all lanes of its mask reach.
void run(dim3 grid, dim3 block, size_t shared_bytes, const std::function<void()>& body);

/// Of the thread that runs now.
dim3 thread_index();
dim3 block_index();
unsigned lane();
/// The block's memory: filled with bytes 0xFF, which is NaN, when the block begins.
char* dynamic_shared();
void* static_shared(int line, std::type_index type, size_t bytes);

void barrier();
/// All lanes of `mask` bring a value; then each reads what another brought.
void meet(unsigned mask, uint64_t value);
uint64_t brought_by(unsigned other);

template <class... P>
auto launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes = 0, cudaStream_t = nullptr) {
  return [=](auto... arguments) { run(grid, block, shared_bytes, [&] { kernel(static_cast<P>(arguments)...); }); };
}

template <class Array>
Array& shared(int line) {
  return *static_cast<Array*>(static_shared(line, typeid(Array), sizeof(Array)));
}

[[noreturn]] void die(const char* what);

}  // namespace cuda_on_cpu

#define threadIdx (cuda_on_cpu::thread_index())
#define blockIdx (cuda_on_cpu::block_index())

inline void __syncthreads() {
  cuda_on_cpu::barrier();
}
inline void __syncwarp(unsigned mask = ~0U) {
  cuda_on_cpu::meet(mask, 0);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T x, unsigned lanes) {
  static_assert(sizeof(T) <= sizeof(uint64_t));
  uint64_t mine = 0;
  std::memcpy(&mine, &x, sizeof x);
  cuda_on_cpu::meet(mask, mine);
  const uint64_t other = cuda_on_cpu::brought_by(cuda_on_cpu::lane() ^ lanes);
  cuda_on_cpu::meet(mask, mine);  // until all have read
  std::memcpy(&x, &other, sizeof x);
  return x;
}

inline uint32_t __umulhi(uint32_t a, uint32_t b) {
  return static_cast<uint32_t>(uint64_t{a} * b >> 32);
}
inline float __fmul_rn(float a, float b) {
  return a * b;
}
inline double __dmul_rn(double a, double b) {
  return a * b;
}
inline float __fadd_rn(float a, float b) {
  return a + b;
}
inline double __dadd_rn(double a, double b) {
  return a + b;
}
using std::sqrt;
