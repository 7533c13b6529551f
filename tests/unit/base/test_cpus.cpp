#include <gtest/gtest.h>
#include <sched.h>

#include <cstdlib>

#include "dept/base/cpus.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

// A folder that stands for "/": what the kernel shows of this process's cgroups.
class Cgroups : public testing::Test {
 protected:
  void write(const std::string& path, std::string_view text) {
    fs::create_directories((root_ / path).parent_path());
    root_.write(path, text);
  }
  void show(std::string_view own, std::string_view mounts) {
    write("proc/self/cgroup", own);
    write("proc/self/mountinfo", mounts);
  }
  double quota() const {
    const auto found = cpu_quota(root_.path());
    return found ? found->cpus : 0;
  }
  fs::path file() const { return cpu_quota(root_.path()).value().file; }

  Scratch root_;
};

constexpr const char* v2_mount = "29 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

TEST_F(Cgroups, NoneWhereNothingIsMountedOrSet) {
  EXPECT_EQ(quota(), 0);
  show("0::/user.slice\n", v2_mount);
  EXPECT_EQ(quota(), 0);
  write("sys/fs/cgroup/user.slice/cpu.max", "max 100000\n");
  EXPECT_EQ(quota(), 0);
}

TEST_F(Cgroups, TheTightestOfACgroupAndItsParents) {
  show("0::/job.slice/step:1\n", str("21 22 0:20 / /proc rw - proc proc rw\n", v2_mount));
  write("sys/fs/cgroup/job.slice/step:1/cpu.max", "350000 100000\n");
  EXPECT_EQ(quota(), 3.5);
  write("sys/fs/cgroup/job.slice/cpu.max", "75000 50000\n");
  EXPECT_EQ(quota(), 1.5);
  EXPECT_EQ(file(), root_ / "sys/fs/cgroup/job.slice/cpu.max");
  write("sys/fs/cgroup/other.slice/cpu.max", "10000 100000\n");
  EXPECT_EQ(quota(), 1.5);
  write("sys/fs/cgroup/cpu.max", "100000 100000\n");
  EXPECT_EQ(quota(), 1);
}

TEST_F(Cgroups, InAContainerTheMountPointIsItsOwnCgroup) {
  show("0::/\n", "1 2 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n");  // a namespace of cgroups
  write("sys/fs/cgroup/cpu.max", "50000 100000\n");
  EXPECT_EQ(quota(), 0.5);
  show("0::/docker/ab/x\n",
       "1 2 0:26 /docker/ab /sys/fs/cgroup ro - cgroup2 cgroup rw\n");  // none, and a cgroup of its own below
  EXPECT_EQ(quota(), 0.5);
  write("sys/fs/cgroup/x/cpu.max", "25000 100000\n");
  EXPECT_EQ(quota(), 0.25);
  show("0::/../other\n", "1 2 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n");  // outside of what is mounted
  EXPECT_EQ(quota(), 0.5);
  show("0::/docker/abc\n", "1 2 0:26 /docker/ab /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
  EXPECT_EQ(quota(), 0.5);
}

TEST_F(Cgroups, VersionOne) {
  show("9:name=systemd:/\n5:cpu,cpuacct:/batch/7\n4:memory:/elsewhere\n3:cpuset:/\n0::/\n",
       "30 25 0:28 / /cg/memory rw - cgroup cgroup rw,memory\n31 25 0:29 / /cg/cpuset rw - cgroup cgroup rw,cpuset\n"
       "32 25 0:30 / /cg/cpu\\040time rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n33 25 0:31 / /cg/unified rw - cgroup2 none "
       "rw\n");
  for (const char* folder : {"cg/cpu time/batch/7/", "cg/cpu time/batch/", "cg/cpu time/"}) {
    write(str(folder, "cpu.cfs_quota_us"), "-1\n");
    write(str(folder, "cpu.cfs_period_us"), "100000\n");
  }
  EXPECT_EQ(quota(), 0);
  write("cg/cpu time/batch/cpu.cfs_quota_us", "250000\n");
  EXPECT_EQ(quota(), 2.5);
  write("cg/cpu time/batch/7/cpu.cfs_quota_us", "120000\n");
  EXPECT_EQ(quota(), 1.2);
  EXPECT_EQ(file(), root_ / "cg/cpu time/batch/7/cpu.cfs_quota_us");
  write("cg/memory/elsewhere/cpu.cfs_quota_us", "1\n");
  EXPECT_EQ(quota(), 1.2);
}

TEST_F(Cgroups, WhatIsNoQuotaIsNone) {
  show("0::/\n", v2_mount);
  for (const char* text : {"", "\n", "max\n", "fast 100000\n", "100000\n", "100000 0\n", "-1 100000\n"}) {
    write("sys/fs/cgroup/cpu.max", text);
    EXPECT_EQ(quota(), 0) << text;
  }
  show("odd\n:\n0:\n", "odd\n1 2 3 4 5 6 -\n1 2 3 4 - cgroup2 x y\n");
  EXPECT_EQ(quota(), 0);
}

class DefaultThreads : public Cgroups {
 protected:
  void SetUp() override {
    ASSERT_EQ(::sched_getaffinity(0, sizeof allowed_, &allowed_), 0);
    if (const char* given = std::getenv("OMP_NUM_THREADS")) given_ = given;
    ::unsetenv("OMP_NUM_THREADS");
  }
  void TearDown() override {
    ::sched_setaffinity(0, sizeof allowed_, &allowed_);
    if (!given_.empty()) ::setenv("OMP_NUM_THREADS", given_.c_str(), 1);
  }
  int threads() const { return default_threads(root_.path()); }

  cpu_set_t allowed_;
  std::string given_;
};

TEST_F(DefaultThreads, AsFarAsTheQuotaReaches) {
  const int cores = physical_cores();
  EXPECT_EQ(threads(), cores);
  show("0::/\n", v2_mount);
  write("sys/fs/cgroup/cpu.max", "20000 100000\n");
  EXPECT_EQ(threads(), 1);
  write("sys/fs/cgroup/cpu.max", "120000 100000\n");
  EXPECT_EQ(threads(), std::min(cores, 2));
  write("sys/fs/cgroup/cpu.max", "999900000 100000\n");
  EXPECT_EQ(threads(), cores);
}

TEST_F(DefaultThreads, AsFarAsTheAffinityMaskReaches) {
  cpu_set_t one;
  CPU_ZERO(&one);
  for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu)
    if (CPU_ISSET(cpu, &allowed_)) CPU_SET(cpu, &one);
  ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(physical_cores(), 1);
  EXPECT_EQ(threads(), 1);
}

TEST_F(DefaultThreads, TheUsersOwnNumberWins) {
  show("0::/\n", v2_mount);
  write("sys/fs/cgroup/cpu.max", "20000 100000\n");
  ::setenv("OMP_NUM_THREADS", "3", 1);
  EXPECT_EQ(threads(), 3);
  ::setenv("OMP_NUM_THREADS", "5,2", 1);
  EXPECT_EQ(threads(), 5);
  for (const char* none : {"", "many", "-4", "0"}) {
    ::setenv("OMP_NUM_THREADS", none, 1);
    EXPECT_EQ(threads(), 1) << none;
  }
}

// A share of the quota for each rank, whatever OMP_NUM_THREADS says; at least one thread.
TEST_F(DefaultThreads, OfARankAreItsShare) {
  ::setenv("OMP_NUM_THREADS", "1", 1);
  show("0::/\n", v2_mount);
  EXPECT_EQ(threads_of_rank(1, root_.path()), physical_cores());
  EXPECT_EQ(threads_of_rank(physical_cores(), root_.path()), 1);
  EXPECT_EQ(threads_of_rank(10'000, root_.path()), 1);
  write("sys/fs/cgroup/cpu.max", "100000 100000\n");
  EXPECT_EQ(threads_of_rank(1, root_.path()), 1);
}

}  // namespace
}  // namespace dept
