// Trains a sweep's runs within its budget, in turns or together, and records what they come to.
#pragma once

#include <chrono>
#include <deque>
#include <list>
#include <map>
#include <optional>
#include <vector>

#include "dept/train/together.h"
#include "sweep/outcome.h"
#include "sweep/prepared.h"
#include "sweep/store.h"

namespace dept {

class Trainer {
 public:
  /// All outlive the trainer. The ranks of a group, null for one, train runs each by itself.
  Trainer(const Sweep& sweep, const SweepWatch& watch, Store& store, const Ranking& ranking, RankGroup* group)
      : sweep_(sweep),
        watch_(watch),
        store_(store),
        group_(group),
        progress_(sweep, watch, store.runs, ranking, group == nullptr ? 1 : group->size()) {}

  /// Trains the runs at these places to their ends, or until they have come to the rung, a step; those that are there already
  /// stay as they are. False: interrupted.
  bool train(const std::vector<size_t>& places, std::optional<int64_t> pause_at, size_t rung);

  /// Tries a finished run on the test data. False: interrupted.
  bool test(size_t place);

  /// Called with each run that has ended.
  std::function<void(size_t place)> ended;

 private:
  using Clock = std::chrono::steady_clock;
  struct Underway {
    size_t place;
    std::unique_ptr<Configuration> configuration;
    RunControl control;
    TrainingRun* run = nullptr;
  };

  std::vector<std::vector<size_t>> alike(const std::vector<size_t>& places) const;
  bool train_alike(const std::vector<size_t>& places);
  std::unique_ptr<TrainingRun> next();
  std::unique_ptr<TrainingRun> take(size_t place);
  void take_back(const TrainingRun& run, RunEnd end, size_t stack);
  bool is_over(const RunRecord& run) const;
  int64_t steps_left() const;
  int64_t reserved(const Underway& one) const;
  bool out_of_time();
  bool interrupted() const { return watch_.interrupted && watch_.interrupted(); }
  void charge();

  const Sweep& sweep_;
  const SweepWatch& watch_;
  Store& store_;
  RankGroup* group_;
  int64_t steps_ = 0;  // of this process
  SharedInputs shared_;
  Progression progress_;
  std::map<std::string, StackWidth> widths_;  // by stack_key

  std::optional<int64_t> pause_at_;
  size_t rung_ = 0;
  std::deque<size_t> queue_;
  std::list<Underway> underway_, ended_;  // of ended_ the run may still be about to go
  bool waits_ = false;                    // the first of the queue may fit into the budget once a run underway has ended
  Clock::time_point charged_;
};

}  // namespace dept
