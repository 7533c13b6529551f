// Which device computes: the CPU, or a GPU of NVIDIA in a build with CUDA.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace dept {

/// How many GPUs this program sees; CUDA_VISIBLE_DEVICES hides others. 0 in a build without CUDA and on a machine without a
/// driver.
int64_t gpu_count();
/// "2 devices", or why there is none.
std::string gpu_report();

/// What is expected in the place of `name` (cpu, cuda, cuda:N or auto); empty where this machine has that device.
std::string expected_device(std::string_view name);

/// The device that `name` stands for; auto is the first GPU if it works, else the CPU. A GPU computes in full precision from then
/// on: neither products of fp32 in TF32 nor sums of bf16 in bf16. Throws usage for an unknown name or a GPU that is not there,
/// resource for one that does not work.
c10::Device open_device(std::string_view name);

}  // namespace dept
