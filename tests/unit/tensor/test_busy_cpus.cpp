#include <gtest/gtest.h>
#include <omp.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "dept/tensor/busy_cpus.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

// Samples of a busy time, behind one that says busy.
int length_of_busy_time(BusySense& sense) {
  int length = 1;
  EXPECT_TRUE(sense.sample(0.26));
  while (sense.sample(1.7)) ++length;
  return length;
}

TEST(BusySense, LooksAgainAfterATimeThatGrows) {
  BusySense sense;
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(sense.sample(0.26));
  for (int length : {20, 40, 80, 160, 160}) EXPECT_EQ(length_of_busy_time(sense), length);
  EXPECT_FALSE(sense.sample(0));
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(sense.sample(0.26));
  EXPECT_EQ(length_of_busy_time(sense), 20);
}

TEST(BusySense, TakesNoShortMomentForBusy) {
  BusySense sense;
  for (double waited :
       {0.0, 0.24, -3.0, 1.7, 1.7, 1.7, 0.2, 1.7, 1.7, 1.7, 0.0})  // below 0: a thread ended, and its time went with it
    EXPECT_FALSE(sense.sample(waited));
}

TEST(SecondsWaited, SumsTheThreads) {
  const Scratch tasks;
  EXPECT_EQ(seconds_waited(tasks.path()), 0);
  EXPECT_EQ(seconds_waited(tasks / "none"), 0);
  for (const std::string& thread : {std::string("11"), std::string("12"), std::string("13"), std::to_string(::gettid())})
    fs::create_directories(tasks / thread);
  tasks.write("11/schedstat", "900000000 250000000 17\n");
  tasks.write("12/schedstat", "0 1500000000 3\n");  // 13 has ended
  EXPECT_DOUBLE_EQ(seconds_waited(tasks.path()), 1.75);
  tasks.write(std::to_string(::gettid()) + "/schedstat", "100000000 7000000000 9\n");
  EXPECT_DOUBLE_EQ(seconds_waited(tasks.path()), 1.75) << "the caller's own wait";
}

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec) + static_cast<double>(usage.ru_utime.tv_usec) * 1e-6;
}

// CPU time of one thread that waits for another, which sleeps.
double cost_of_waiting() {
  const double before = cpu_seconds();
  for (int i = 0; i < 20; ++i)
#pragma omp parallel num_threads(2)
    if (omp_get_thread_num() == 0) ::usleep(10'000);
  return cpu_seconds() - before;
}

// libgomp's rule that SurplusThreads counts on, as the library that is loaded has it.
TEST(SurplusThreads, LetAWaitingThreadSleep) {
  if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr) GTEST_SKIP() << "set by the user";
  if (omp_get_num_procs() < 2) GTEST_SKIP() << "one CPU: threads sleep anyway";
  cost_of_waiting();
  const double awake = cost_of_waiting();
  for (int again = 0; again < 2; ++again) {
    const SurplusThreads surplus(2);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_LT(cost_of_waiting(), awake / 4);
  }
  EXPECT_GT(cost_of_waiting(), awake / 4);
}

TEST(SurplusThreads, ChangeNoTeam) {
  for (int again = 0; again < 50; ++again) {
    const SurplusThreads surplus(2);
    int threads = 0;
#pragma omp parallel num_threads(2) reduction(+ : threads)
    ++threads;
    EXPECT_EQ(threads, 2);
  }
}

}  // namespace
}  // namespace dept
