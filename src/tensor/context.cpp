#include "dept/tensor/context.h"

#include <ATen/Parallel.h>

#include <fstream>
#include <string>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/tensor/busy_cpus.h"
#include "dept/tensor/retained_memory.h"

namespace dept {
namespace {

constexpr std::string_view storage_names[] = {"same", "fp32", "fp16", "bf16", "gguf", "int8"};  // in Storage's order

}  // namespace

c10::ScalarType parse_dtype(std::string_view name) {
  if (name == "fp32") return c10::kFloat;
  if (name == "bf16") return c10::kBFloat16;
  if (name == "fp64") return c10::kDouble;
  if (name == "auto") return cpu_has_bf16() ? c10::kBFloat16 : c10::kFloat;
  fail(Code::usage, "dtype", "fp32, bf16 or auto", quote(name));
}

std::string_view dtype_name(c10::ScalarType dtype) {
  switch (dtype) {
    case c10::kFloat:
      return "fp32";
    case c10::kHalf:
      return "fp16";
    case c10::kBFloat16:
      return "bf16";
    case c10::kDouble:
      return "fp64";
    default:
      return c10::toString(dtype);
  }
}

Storage parse_storage(std::string_view name) {
  for (size_t i = 0; i < std::size(storage_names); ++i)
    if (name == storage_names[i]) return static_cast<Storage>(i);
  fail(Code::usage, "backbone_dtype", "same, fp32, fp16, bf16, gguf or int8", quote(name));
}

std::string_view storage_name(const ModelContext& context) {
  return context.storage == Storage::same ? dtype_name(context.compute) : storage_names[static_cast<size_t>(context.storage)];
}

bool cpu_has_bf16() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    if (line.rfind("flags", 0) != 0) continue;
    line += ' ';
    return line.find(" avx512_bf16 ") != std::string::npos || line.find(" amx_bf16 ") != std::string::npos;
  }
  return false;
}

bool cpu_has_int8() {
  return __builtin_cpu_supports("avx512bf16") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
         __builtin_cpu_supports("avx512vnni") != 0;
}

void configure_process(int threads) {
  at::set_num_threads(threads);
  share_busy_cpus(threads);
  retain_tensor_memory();
}

}  // namespace dept
