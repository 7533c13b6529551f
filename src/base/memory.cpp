#include "dept/base/memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <string>

namespace dept {
namespace {

std::optional<double> number_in(const char* path) {
  double number = 0;
  return std::ifstream(path) >> number ? std::optional(number) : std::nullopt;  // "max": no limit
}

}  // namespace

double memory_info(std::string_view field) {
  std::ifstream meminfo("/proc/meminfo");
  for (std::string name, rest; meminfo >> name; std::getline(meminfo, rest)) {
    double kilobytes = 0;
    if (name == std::string(field) + ":" && meminfo >> kilobytes) return kilobytes * 1024;
  }
  return 0;
}

double available_memory() {
  const double available = memory_info("MemAvailable");
  const auto limit = number_in("/sys/fs/cgroup/memory.max"), used = number_in("/sys/fs/cgroup/memory.current");
  return limit && used ? std::min(available, std::max(0.0, *limit - *used)) : available;
}

double resident_memory() {
  double all = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> all >> resident;
  return resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

double peak_resident_memory() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024;
}

}  // namespace dept
