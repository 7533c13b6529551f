// Where the tests of CUDA kernels run: on a GPU in a build with CUDA; else on the CPU, by tests/cuda_on_cpu, warps in both
// orders.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace dept::kernels::test {

#ifdef DEPT_CUDA_KERNELS
constexpr at::DeviceType place = at::kCUDA;
enum class Ahead { first_warp };
inline const std::vector<Ahead> orders = {Ahead::first_warp};  // a GPU has its own
inline void run_in(Ahead) {}
#else
constexpr at::DeviceType place = at::kCPU;
using Ahead = cuda_on_cpu::Ahead;
inline const std::vector<Ahead> orders = {Ahead::first_warp, Ahead::last_warp};
inline void run_in(Ahead ahead) {
  cuda_on_cpu::ahead = ahead;
}
#endif

inline at::Tensor there(const at::Tensor& x) {
  return x.to(place);
}
inline std::string name_of(Ahead ahead) {
  return ahead == Ahead::first_warp ? "" : "_last_warp_ahead";
}

}  // namespace dept::kernels::test
