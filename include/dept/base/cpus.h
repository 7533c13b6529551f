// What of the machine's CPUs this process may use.
#pragma once

#include <filesystem>
#include <optional>

namespace dept {

namespace fs = std::filesystem;

/// Physical cores that the affinity mask of this process allows (taskset, cpusets); at least 1.
int physical_cores();

/// A bound that a cgroup sets.
struct CpuQuota {
  double cpus = 0;  ///< seconds of CPU time a second
  fs::path file;    ///< where it is set
};

/// The tightest quota of this process's cgroups and of their parents, of version 2 (cpu.max) and 1 (cpu.cfs_quota_us); none where
/// nobody sets one. `root` stands for "/".
std::optional<CpuQuota> cpu_quota(const fs::path& root = "/");

/// How many threads to use when the command line does not say: OMP_NUM_THREADS, else one a physical core as far as the quota
/// reaches (rounded up, at least 1).
int default_threads(const fs::path& root = "/");

/// How many threads one of `ranks` processes on this machine is to use: its share of the cores of the affinity mask and of the
/// quota, or all cores of a mask that the launcher has made for this process alone. OMP_NUM_THREADS is not looked at, as torchrun
/// sets it to 1 for all.
int threads_of_rank(int ranks, const fs::path& root = "/");

}  // namespace dept
