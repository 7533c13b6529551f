#include "dept/tensor/busy_cpus.h"

#include <omp.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <optional>
#include <string>

namespace dept {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_now() {
  return std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
}

// A thread that looks now and then whether the CPUs are busy.
class Watch {
 public:
  explicit Watch(int threads) : thread_([this, threads] { run(threads); }) {}
  ~Watch() {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    end_.notify_one();
    thread_.join();
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

 private:
  void run(int threads) {
    constexpr auto interval = std::chrono::milliseconds(50);
    BusySense sense;
    std::optional<SurplusThreads> surplus;
    double time = seconds_now(), waited = seconds_waited();
    for (std::unique_lock lock(mutex_); !end_.wait_for(lock, interval, [this] { return ended_; });) {
      const double time_before = time, waited_before = waited;
      time = seconds_now(), waited = seconds_waited();
      const bool busy = sense.sample((waited - waited_before) / (time - time_before));
      if (busy && !surplus) surplus.emplace(threads);
      if (!busy) surplus.reset();
    }
  }

  std::mutex mutex_;
  std::condition_variable end_;
  bool ended_ = false;
  std::thread thread_;  // the last member: it uses the others
};

}  // namespace

bool BusySense::sample(double waited) {
  constexpr double busy = 0.25;
  constexpr int enough = 4, shortest = 20, longest = 160;
  if (left_ > 0) return --left_ > 0;
  if (waited <= busy) return above_ = 0, length_ = shortest, false;
  if (++above_ < enough) return false;
  above_ = enough - 1;
  left_ = length_;
  length_ = std::min(2 * length_, longest);
  return true;
}

double seconds_waited(const std::filesystem::path& tasks) {
  double nanoseconds = 0;
  const std::string caller = std::to_string(::gettid());
  std::error_code ends;  // a thread may end while its folder is read
  for (std::filesystem::directory_iterator task(tasks, ends), last; !ends && task != last; task.increment(ends)) {
    if (task->path().filename() == caller) continue;
    double ran = 0, waited = 0;
    if (std::ifstream(task->path() / "schedstat") >> ran >> waited) nanoseconds += waited;
  }
  return nanoseconds * 1e-9;
}

SurplusThreads::SurplusThreads(int threads) {
  const int more = std::max(1, omp_get_num_procs() - threads + 1);  // than the team's
  team_ = std::thread([this, more] {
#pragma omp parallel num_threads(more + 1)
    end_.wait();
  });
}

SurplusThreads::~SurplusThreads() {
  end_.count_down();
  team_.join();
}

void share_busy_cpus(int threads) {
  const bool users_choice = std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr;
  if (threads == 1 || users_choice) return;
  static const Watch watch(threads);
}

}  // namespace dept
