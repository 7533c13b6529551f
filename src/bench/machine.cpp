#include "bench/machine.h"

#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <fstream>
#include <functional>
#include <limits>
#include <sstream>
#include <string>

#include "dept/kernels/frozen_linear.h"

namespace dept {
namespace {

double clock_seconds(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

double ticks_a_second() {
  return static_cast<double>(::sysconf(_SC_CLK_TCK));
}

// Seconds of all CPUs together that were neither idle nor waiting for a disk.
double busy_seconds() {
  std::ifstream stat("/proc/stat");
  std::string name;
  double user = 0, nice = 0, system = 0, idle = 0, waiting = 0, irq = 0, softirq = 0, steal = 0;
  stat >> name >> user >> nice >> system >> idle >> waiting >> irq >> softirq >> steal;
  return (user + nice + system + irq + softirq + steal) / ticks_a_second();
}

// The shortest of repeated runs, behind one that warms up.
double best_seconds(const std::function<void()>& run) {
  constexpr int least = 3;
  constexpr double enough_seconds = 0.05;
  run();
  double best = std::numeric_limits<double>::infinity();
  const auto begin = Clock::now();
  for (int repeat = 0; repeat < least || seconds_since(begin) < enough_seconds; ++repeat) {
    const auto start = Clock::now();
    run();
    best = std::min(best, seconds_since(start));
  }
  return best;
}

}  // namespace

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double seconds_since_process_start() {
  std::ifstream file("/proc/self/stat");
  std::string text;
  std::getline(file, text);
  std::istringstream fields(text.substr(text.rfind(')') + 1));  // the program's name may hold anything
  std::string field;
  constexpr int start_time = 20;  // the 22nd field, two of them before the name's end
  for (int i = 0; i < start_time; ++i) fields >> field;
  return clock_seconds(CLOCK_BOOTTIME) - std::strtod(field.c_str(), nullptr) / ticks_a_second();
}

double peak_rss_gb() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024 / 1e9;
}

GemmPeak gemm_peak_gflops(const ModelCost& cost, c10::ScalarType compute, int64_t tokens, bool backward) {
  double flop = 0;
  GemmPeak weighted;
  for (const LinearShape& shape : cost.source.linears) {
    const at::Tensor x = at::randn({tokens, shape.in}, compute), w = at::randn({shape.out, shape.in}, compute);
    const at::Tensor dy = at::randn({tokens, shape.out}, compute);
    const kernels::FrozenLinear engine{kernels::FrozenMatrix(w)};
    const double product = 2 * static_cast<double>(tokens * shape.in * shape.out);
    const auto add = [&](const std::function<void()>& library, const std::function<void()>& ours) {
      const double all = product * static_cast<double>(shape.count);
      const double by_library = best_seconds(library);
      flop += all;
      weighted.library += all * product / by_library;
      weighted.best += all * product / std::min(by_library, best_seconds(ours));
    };
    add([&] { at::linear(x, w); }, [&] { engine.forward(x); });
    if (backward) add([&] { at::mm(dy, w); }, [&] { engine.backward_input(dy); });
  }
  return {weighted.library / flop / 1e9, weighted.best / flop / 1e9};
}

BusyMeter::BusyMeter() : busy_(busy_seconds()), own_(clock_seconds(CLOCK_PROCESS_CPUTIME_ID)), start_(Clock::now()) {}

double BusyMeter::others() const {
  const double others = busy_seconds() - busy_ - (clock_seconds(CLOCK_PROCESS_CPUTIME_ID) - own_);
  const double all = seconds_since(start_) * static_cast<double>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
  return std::clamp(others / all, 0.0, 1.0);
}

}  // namespace dept
