// The course of a sweep. What is done is in sweep.json after each run; a sweep that goes on takes the same way again and leaves
// out what is recorded there.
#include <algorithm>
#include <limits>

#include "dept/base/error.h"
#include "dept/base/log.h"
#include "dept/base/text.h"
#include "dept/report/report.h"
#include "dept/train/folder_lock.h"
#include "dept/train/identity.h"
#include "sweep/outcome.h"
#include "sweep/prepared.h"
#include "sweep/store.h"
#include "sweep/trainer.h"

namespace dept {
namespace {

class Course {
 public:
  Course(Sweep& sweep, const SweepWatch& watch) : sweep_(sweep), watch_(watch), store_(sweep) {
    ranking_ = {sweep.spec.metric, sweep.spec.maximize};
  }

  RunEnd run() {
    FolderLock lock(sweep_.out);
    if (store_.claim() == Claim::finished) {
      tell(str(sweep_.out.string(), " holds this very sweep, finished: nothing to do (--overwrite_output_dir begins anew)"));
      return RunEnd::done_before;
    }
    lock.make_folder();
    store_.open();
    for (const std::vector<size_t>& task : tasks())
      if (!run_task(task)) return RunEnd::interrupted;
    if (sweep_.reports) write_report(sweep_.out);
    store_.finish();
    return RunEnd::done;
  }

 private:
  std::vector<RunRecord>& runs() { return store_.runs; }

  // The places of each task's runs.
  std::vector<std::vector<size_t>> tasks() {
    std::vector<std::vector<size_t>> found;
    for (size_t place = 0; place < runs().size(); ++place) {
      const auto same = [&](const std::vector<size_t>& task) { return runs()[task.front()].task == runs()[place].task; };
      const auto task = std::find_if(found.begin(), found.end(), same);
      if (task == found.end())
        found.push_back({place});
      else
        task->push_back(place);
    }
    return found;
  }

  // False: interrupted.
  bool run_task(const std::vector<size_t>& places) {
    const std::vector<Row> rows = rows_of(runs(), places);
    if (sweep_.spec.method == SweepMethod::halving ? !halve(rows) : !run_all(places)) return false;
    const Row best = best_row(runs(), rows, ranking_);
    if (best.empty()) {
      say(str(places_name(places), "no run is finished, so that none is the best"));
      return true;
    }
    for (const size_t place : best)
      if (sweep_.tests && !trainer_.test(place)) return false;
    runs()[best.front()].best = true;
    store_.keep_best(best.front());
    store_.save();
    say(str(places_name(places), "the best is ", described(best.front())));
    return true;
  }

  std::string places_name(const std::vector<size_t>& places) {
    const std::string& task = runs()[places.front()].task;
    return task.empty() ? "" : task + ": ";
  }

  bool run_all(const std::vector<size_t>& places) {
    trainer_.ended = [this](size_t place) { say(described(place)); };
    return trainer_.train(places, std::nullopt, 0);
  }

  // Synchronous: at each rung all that came there are ranked.
  bool halve(std::vector<Row> rows) {
    for (size_t rung = 0; !rows.empty(); ++rung) {
      const std::optional<int64_t> steps = rung_steps(rung);
      std::vector<size_t> places;
      for (const Row& row : rows) places.insert(places.end(), row.begin(), row.end());
      if (!trainer_.train(places, steps, rung)) return false;
      if (std::all_of(places.begin(), places.end(), [&](size_t place) { return over_at(place, rung); })) break;
      const std::vector<Row> on = survivors(runs(), rows, rung, sweep_.spec.eta, ranking_);
      for (const Row& row : rows)
        if (std::find(on.begin(), on.end(), row) == on.end())
          for (const size_t place : row)
            if (runs()[place].end.empty()) runs()[place].end = str("rung ", rung + 1);
      store_.save();
      say(str("rung ", rung + 1, ", ", *steps, " steps: ", on.size(), " of ", rows.size(), " go on"));
      rows = on;
      std::erase_if(rows, [&](const Row& row) {
        return std::all_of(row.begin(), row.end(), [&](size_t place) { return over_at(place, rung); });
      });
    }
    return true;
  }

  // Whether it did not come to be ranked with those that may go on. A record may say more than this rung: the course is taken
  // again.
  bool over_at(size_t place, size_t rung) { return !runs()[place].end.empty() && runs()[place].rungs.size() <= rung; }

  std::optional<int64_t> rung_steps(size_t rung) const {
    int64_t steps = sweep_.spec.min_iter;
    for (size_t k = 0; k < rung; ++k) {
      if (steps > std::numeric_limits<int64_t>::max() / sweep_.spec.eta) return std::nullopt;
      steps *= sweep_.spec.eta;
    }
    return steps;
  }

  std::string described(size_t place) { return describe_run(runs()[place], ranking_); }

  // Where no table shows it.
  void say(const std::string& line) {
    if (!watch_.show) tell(line);
  }
  void tell(const std::string& line) {
    log::mute_stderr(false);
    log::info(line);
    log::mute_stderr(true);
  }

  Sweep& sweep_;
  const SweepWatch& watch_;
  Store store_;
  Ranking ranking_;
  Trainer trainer_{sweep_, watch_, store_, ranking_};
};

}  // namespace

RunEnd run_sweep(Sweep& sweep, const SweepWatch& watch) {
  const log::Muted runs_write_to_logs_of_their_own;
  return Course(sweep, watch).run();
}

}  // namespace dept
