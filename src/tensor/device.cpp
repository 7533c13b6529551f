#include "dept/tensor/device.h"

#include <ATen/Context.h>
#include <ATen/ops/ones.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <charconv>
#include <optional>

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {
namespace {

// N of cuda:N, and 0 of cuda.
std::optional<int64_t> gpu_number(std::string_view name) {
  constexpr std::string_view cuda = "cuda";
  if (name == cuda) return 0;
  if (!name.starts_with("cuda:")) return std::nullopt;
  const std::string_view digits = name.substr(cuda.size() + 1);
  int64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size() || number < 0) return std::nullopt;
  return number;
}

// "" where a tensor can be made and read there.
std::string fault_of(c10::Device gpu) {
  try {
    at::ones({1}, at::TensorOptions(gpu)).item<float>();
    return "";
  } catch (const std::exception& error) {
    const std::string_view what = error.what();
    return std::string(what.substr(0, what.find('\n')));
  }
}

c10::Device opened(c10::Device gpu) {
  at::globalContext().setAllowTF32CuBLAS(false);
  at::globalContext().setAllowFP16ReductionCuBLAS(false);
  at::globalContext().setAllowBF16ReductionCuBLAS(false);
  return gpu;
}

}  // namespace

int64_t gpu_count() {
  return static_cast<int64_t>(at::getNumGPUs());
}

std::string gpu_report() {
  if (!c10::impl::hasDeviceGuardImpl(c10::DeviceType::CUDA)) return "0 devices: this is a build without CUDA";
  const int64_t count = gpu_count();
  if (count == 0) return "0 devices: no driver of NVIDIA, no GPU, or CUDA_VISIBLE_DEVICES hides it";
  return str(count, count == 1 ? " device" : " devices");
}

std::string expected_device(std::string_view name) {
  if (name == "cpu" || name == "auto") return "";
  const std::optional<int64_t> number = gpu_number(name);
  if (!number) return "cpu, cuda, cuda:N or auto";
  return *number < gpu_count() ? "" : str("a GPU that is there, cpu or auto (here are ", gpu_report(), ")");
}

c10::Device open_device(std::string_view name) {
  if (const std::string expected = expected_device(name); !expected.empty()) fail(Code::usage, "--device", expected, quote(name));
  if (name == "cpu" || (name == "auto" && gpu_count() == 0)) return c10::kCPU;
  const c10::Device gpu(c10::kCUDA, static_cast<c10::DeviceIndex>(gpu_number(name).value_or(0)));
  const std::string fault = fault_of(gpu);
  if (fault.empty()) return opened(gpu);
  if (name == "auto") return c10::kCPU;
  fail(Code::resource, "--device", str(name, " to work, cpu or auto"), fault);
}

}  // namespace dept
