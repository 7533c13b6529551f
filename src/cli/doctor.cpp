// dept doctor: what this machine offers, and what of it is too little.
#include <ATen/Parallel.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <torch/headeronly/version.h>
#include <unistd.h>

#include <chrono>
#include <fstream>

#include "cli/command.h"
#include "cli/frame.h"
#include "dept/base/cpus.h"
#include "dept/base/error.h"
#include "dept/base/memory.h"
#include "dept/base/text.h"
#include "dept/tensor/context.h"
#include "dept/tensor/device.h"

namespace dept {
namespace {

constexpr double gigabyte = 1e9;

std::string cpu_name() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    const size_t colon = line.find(": ");
    if (line.rfind("model name", 0) == 0 && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

// The best of products of two square matrices within a third of a second.
double measure_gflops(c10::ScalarType type) {
  constexpr int64_t n = 1024;
  const at::Tensor a = at::ones({n, n}, type), b = at::ones({n, n}, type);
  const auto seconds = [] { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); };
  double best = 1e9;
  at::mm(a, b);
  for (const double begin = seconds(); seconds() - begin < 0.33;) {
    const double start = seconds();
    at::mm(a, b);
    best = std::min(best, seconds() - start);
  }
  return 2.0 * n * n * n / best / 1e9;
}

OrderedJson examine(int threads) {
  OrderedJson found;
  found["version"] = DEPT_VERSION;
  found["libtorch"] = TORCH_VERSION;
  found["cpu"] = cpu_name();
  found["avx2"] = __builtin_cpu_supports("avx2") != 0;
  found["avx512"] = __builtin_cpu_supports("avx512f") != 0;
  found["bf16"] = cpu_has_bf16();
  found["cores"] = physical_cores();
  const std::optional<CpuQuota> quota = cpu_quota();
  found["cpu_quota"] = quota ? OrderedJson(quota->cpus) : OrderedJson();
  found["cpu_quota_file"] = quota ? OrderedJson(quota->file.string()) : OrderedJson();
  found["threads"] = threads;
  found["gpus"] = gpu_count();
  found["memory_gb"] = memory_info("MemTotal") / gigabyte;
  found["memory_available_gb"] = memory_info("MemAvailable") / gigabyte;
  found["disk_free_gb"] = static_cast<double>(fs::space(".").available) / gigabyte;
  found["gemm_fp32_gflops"] = measure_gflops(c10::kFloat);
  found["gemm_bf16_gflops"] = measure_gflops(c10::kBFloat16);
  found["dtype_auto"] = cpu_has_bf16() ? "bf16" : "fp32";
  return found;
}

OrderedJson problems(const OrderedJson& found) {
  OrderedJson out = OrderedJson::array();
  if (!found["avx2"]) out.push_back("no AVX2: everything works, many times slower");
  if (found["memory_available_gb"] < 2) out.push_back("less than 2 GB of memory available: the quickstart needs 1.5 GB");
  if (found["disk_free_gb"] < 1) out.push_back("less than 1 GB of disk free in this folder");
  if (found["bf16"] && found["gemm_bf16_gflops"] < found["gemm_fp32_gflops"])
    out.push_back("bf16 is slower than fp32 here: use --dtype fp32");
  return out;
}

std::string doctor_table(const OrderedJson& found) {
  const auto text = [&](const char* key) { return found[key].get<std::string>(); };
  const auto number = [&](const char* key, const char* unit) {
    char buffer[64];
    std::snprintf(buffer, sizeof buffer, "%.1f %s", found[key].get<double>(), unit);
    return std::string(buffer);
  };
  const auto has = [&](const char* key) { return found[key].get<bool>() ? "yes" : "no"; };
  std::string out;
  const auto row = [&](std::string name, const std::string& value) {
    name.resize(12, ' ');
    out += str(name, "  ", value, "\n");
  };
  row("dept", str(text("version"), ", LibTorch ", text("libtorch")));
  row("CPU", text("cpu"));
  const std::string quota =
      found["cpu_quota"].is_null() ? "none" : str(found["cpu_quota"], " CPUs (", text("cpu_quota_file"), ")");
  row("threads", str(found["threads"], " used; physical cores by affinity: ", found["cores"], "; cgroup quota: ", quota));
  row("vectors", str("AVX2 ", has("avx2"), ", AVX-512 ", has("avx512"), ", bf16 products ", has("bf16")));
  row("products", str("fp32 ", number("gemm_fp32_gflops", "GFLOP/s"), ", bf16 ", number("gemm_bf16_gflops", "GFLOP/s"),
                      "; --dtype auto is ", text("dtype_auto")));
  row("GPUs", gpu_report());
  row("memory", str(number("memory_gb", "GB"), ", ", number("memory_available_gb", "GB available")));
  row("disk", number("disk_free_gb", "GB free in this folder"));
  for (const OrderedJson& problem : found["problems"]) row("problem", problem.get<std::string>());
  if (found["problems"].empty()) row("problems", "none");
  return out;
}

}  // namespace

int run_doctor(const std::vector<std::string>& arguments) {
  bool as_json = false;
  int64_t threads = default_threads();
  OptionSet set;
  set.add("json", as_json, "one JSON object");
  set.add("threads", threads, "threads of the measurement").min(1).max(1024);
  if (!read_command_line(set, arguments,
                         {"Usage: dept doctor [--json]\nShows what this machine offers: CPU, memory, disk, measured speed.\n",
                          false, 0, "  dept doctor\n  dept doctor --json --threads 4\n"}))
    return 0;
  configure_process(static_cast<int>(threads));
  OrderedJson found = examine(static_cast<int>(threads));
  found["problems"] = problems(found);
  write_stdout(as_json ? found.dump() + "\n" : doctor_table(found));
  return 0;
}

}  // namespace dept
