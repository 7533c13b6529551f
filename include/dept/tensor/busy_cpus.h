// OpenMP's threads wait for each other by looking again and again, for milliseconds. That is quickest on CPUs of their own; on
// CPUs that other processes use too, a thread that looks takes the time that the thread it waits for would need.
#pragma once

#include <filesystem>
#include <latch>
#include <thread>

namespace dept {

/// Tells from samples whether other processes use the CPUs of this one.
class BusySense {
 public:
  /// `waited` is the time that threads of this process were ready to run and waited for a CPU since the last sample, as a share
  /// of that time. Four samples in a row above a quarter mean busy (fewer are another's short moment, which costs less than
  /// sleep does), for 20 samples, whatever they say: threads that sleep wait for a CPU each time they wake. If the one after
  /// those is above too, for twice as many, up to 160.
  bool sample(double waited);

 private:
  int above_ = 0;    // samples in a row that were above a quarter
  int left_ = 0;     // samples of the busy time under way
  int length_ = 20;  // of the next one
};

/// Seconds that the threads of this process have waited for a CPU since they started, all together but for the calling thread; 0
/// where the system does not tell. `tasks` has a folder for each thread. A caller that looks now and then wakes beside threads
/// that keep every CPU, and waits for the end of one's time slice: that tells nothing of other processes.
double seconds_waited(const std::filesystem::path& tasks = "/proc/self/task");

/// While it lives, an OpenMP thread that waits goes to sleep after 100 looks in place of 300,000: libgomp's rule (GOMP_SPINCOUNT
/// in its manual) for a process with more threads than CPUs, to which this brings it by threads that sleep.
class SurplusThreads {
 public:
  /// Beside a team of `threads`.
  explicit SurplusThreads(int threads);
  ~SurplusThreads();
  SurplusThreads(const SurplusThreads&) = delete;
  SurplusThreads& operator=(const SurplusThreads&) = delete;

 private:
  std::latch end_{1};
  std::thread team_;
};

/// From now until the process ends, lets a team of `threads` wait asleep whenever other processes use its CPUs. No result depends
/// on it. OMP_WAIT_POLICY or GOMP_SPINCOUNT in the environment leave the wait to the user.
void share_busy_cpus(int threads);

}  // namespace dept
