#include "dept/base/cpus.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "dept/base/text.h"

namespace dept {
namespace {

// The CPUs of the affinity mask. The kernel's mask may be larger than cpu_set_t.
std::vector<int> allowed_cpus() {
  std::vector<int> allowed;
  for (int count = CPU_SETSIZE; count <= 1 << 20; count *= 2) {
    cpu_set_t* mask = CPU_ALLOC(count);
    if (mask == nullptr) break;
    const size_t bytes = CPU_ALLOC_SIZE(count);
    const bool fits = ::sched_getaffinity(0, bytes, mask) == 0;
    for (int cpu = 0; fits && cpu < count; ++cpu)
      if (CPU_ISSET_S(cpu, bytes, mask)) allowed.push_back(cpu);
    CPU_FREE(mask);
    if (fits) break;
  }
  return allowed;
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, separator);) parts.push_back(part);
  return parts;
}

bool names(const std::string& list, std::string_view name) {
  const std::vector<std::string> parts = split(list, ',');
  return std::find(parts.begin(), parts.end(), name) != parts.end();
}

// A path of mountinfo: white space and backslashes stand there as three octal digits.
std::string unescape(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    int code = 0;
    const bool escaped =
        text[i] == '\\' && i + 3 < text.size() && std::from_chars(&text[i + 1], &text[i + 4], code, 8).ptr == &text[i + 4];
    out += escaped ? static_cast<char>(code) : text[i];
    if (escaped) i += 3;
  }
  return out;
}

// A hierarchy of cgroups that may hold quotas.
struct Hierarchy {
  bool v2 = false;
  std::string top;    // the cgroup that is seen at the mount point
  std::string point;  // where it is mounted
};

// Those of /proc/self/mountinfo: ID PARENT DEVICE TOP POINT OPTIONS [FIELD..] - TYPE SOURCE OPTIONS
std::vector<Hierarchy> hierarchies(const fs::path& root) {
  std::vector<Hierarchy> found;
  std::ifstream file(root / "proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    const std::vector<std::string> words = split(line, ' ');
    const auto dash = std::find(words.begin(), words.end(), "-");
    if (words.end() - dash < 4 || dash - words.begin() < 6) continue;
    const bool v2 = dash[1] == "cgroup2";
    if (v2 || (dash[1] == "cgroup" && names(dash[3], "cpu"))) found.push_back({v2, unescape(words[3]), unescape(words[4])});
  }
  return found;
}

// This process's cgroup in a hierarchy, from /proc/self/cgroup: ID:CONTROLLERS:PATH; empty when it is in none.
std::string own_cgroup(const fs::path& root, bool v2) {
  std::ifstream file(root / "proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (v2 ? line.substr(0, first) == "0" && controllers.empty() : names(controllers, "cpu")) return line.substr(second + 1);
  }
  return "";
}

// The way from the mount point to a cgroup: none to one that is not below what is mounted there.
std::string below(const std::string& top, const std::string& cgroup) {
  const std::string prefix = top == "/" ? "" : top;
  if (cgroup.rfind(prefix + "/", 0) != 0 || cgroup.find("/..") != std::string::npos) return "";
  return cgroup.substr(prefix.size() + 1);
}

std::string first_line(const fs::path& path) {
  std::string line;
  std::getline(std::ifstream(path), line);
  return line;
}

// Of "QUOTA PERIOD" in microseconds; none for "max", -1 and what is no number.
std::optional<double> parse_quota(const std::string& text) {
  double quota = 0, period = 0;
  if (!(std::istringstream(text) >> quota >> period) || quota <= 0 || period <= 0) return std::nullopt;
  return quota / period;
}

std::optional<CpuQuota> quota_of(const fs::path& folder, bool v2) {
  const fs::path file = folder / (v2 ? "cpu.max" : "cpu.cfs_quota_us");
  std::string text = first_line(file);
  if (!v2) text.append(" ").append(first_line(folder / "cpu.cfs_period_us"));
  const std::optional<double> cpus = parse_quota(text);
  return cpus ? std::optional(CpuQuota{*cpus, file}) : std::nullopt;
}

int cores_of(const std::vector<int>& cpus) {
  std::set<std::string> cores;  // one list of siblings a physical core
  for (int cpu : cpus) {
    const std::string siblings = first_line(str("/sys/devices/system/cpu/cpu", cpu, "/topology/thread_siblings_list"));
    cores.insert(siblings.empty() ? str("cpu", cpu) : siblings);
  }
  return std::max<int>(1, static_cast<int>(cores.size()));
}

// Of the machine, whoever may use them.
int all_cores() {
  std::vector<int> cpus(static_cast<size_t>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN))));
  std::iota(cpus.begin(), cpus.end(), 0);
  return cores_of(cpus);
}

}  // namespace

int physical_cores() {
  return cores_of(allowed_cpus());
}

std::optional<CpuQuota> cpu_quota(const fs::path& root) {
  std::optional<CpuQuota> tightest;
  for (const Hierarchy& hierarchy : hierarchies(root)) {
    fs::path way = below(hierarchy.top, own_cgroup(root, hierarchy.v2));
    for (const fs::path point = root / fs::path(hierarchy.point).relative_path();; way = way.parent_path()) {
      const std::optional<CpuQuota> quota = quota_of(point / way, hierarchy.v2);
      if (quota && (!tightest || quota->cpus < tightest->cpus)) tightest = quota;
      if (way.empty()) break;
    }
  }
  return tightest;
}

int default_threads(const fs::path& root) {
  constexpr long most = 1024;
  const char* given = std::getenv("OMP_NUM_THREADS");  // perhaps a list, one number a level
  if (const long threads = given != nullptr ? std::strtol(given, nullptr, 10) : 0; threads > 0)
    return static_cast<int>(std::min(threads, most));
  const int cores = physical_cores();
  const std::optional<CpuQuota> quota = cpu_quota(root);
  return quota && quota->cpus < cores ? std::max(1, static_cast<int>(std::ceil(quota->cpus))) : cores;
}

int threads_of_rank(int ranks, const fs::path& root) {
  const int mine = physical_cores();
  const bool by_itself = mine * ranks <= all_cores();  // the launcher bound each rank to cores of its own
  int threads = by_itself ? mine : mine / ranks;
  if (const std::optional<CpuQuota> quota = cpu_quota(root))
    threads = std::min(threads, static_cast<int>(std::ceil(quota->cpus)) / ranks);
  return std::max(1, threads);
}

}  // namespace dept
