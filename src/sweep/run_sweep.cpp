// The course of a sweep. What is done is in sweep.json after each run; a sweep that goes on takes the same way again and leaves
// out what is recorded there. Ranks all take that way together, by the same records; what they train on it is dealt out.
#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>
#include <set>

#include "dept/base/error.h"
#include "dept/base/log.h"
#include "dept/base/text.h"
#include "dept/dist/ranks.h"
#include "dept/report/report.h"
#include "dept/train/alike.h"
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
  Course(Sweep& sweep, const SweepWatch& watch, RankGroup* group)
      : sweep_(sweep), watch_(watch), group_(group), store_(sweep, is_first(group)) {
    ranking_ = {sweep.spec.metric, sweep.spec.maximize};
  }

  RunEnd run() {
    std::optional<FolderLock> lock;
    if (is_first(group_)) lock.emplace(sweep_.out);
    if (done_before()) {
      tell(str(sweep_.out.string(), " holds this very sweep, finished: nothing to do (--overwrite_output_dir begins anew)"));
      return RunEnd::done_before;
    }
    open(lock);
    for (const std::vector<size_t>& task : tasks())
      if (!run_task(task)) return RunEnd::interrupted;
    if (sweep_.reports && is_first(group_)) write_report(sweep_.out);
    store_.finish();
    return RunEnd::done;
  }

 private:
  std::vector<RunRecord>& runs() { return store_.runs; }

  // As far as the folder says.
  bool done_before() {
    require_alike(group_, store_.identity());
    if (group_ != nullptr && (sweep_.spec.budget_steps || sweep_.spec.budget_minutes))
      fail(Code::usage, "sweep.budget", "none with several ranks, as it is counted run by run", "one");
    const bool done = is_first(group_) && store_.claim() == Claim::finished;
    return !from_first(group_, done ? "done" : "").empty();
  }

  // Rank 0 takes the folder; all have the records in it.
  void open(std::optional<FolderLock>& lock) {
    std::vector<size_t> known;
    if (lock) {
      lock->make_folder();
      store_.open();
      known.resize(runs().size());
      std::iota(known.begin(), known.end(), size_t{0});
    }
    share_records(known, true);
  }

  // This rank's share of the runs: of the steps that they may take about as many as the others'.
  std::vector<size_t> share_of(const std::vector<size_t>& places) {
    std::vector<int64_t> steps;
    for (const size_t place : places) {
      const int64_t most = sweep_.configure(place)->train().schedule.max_steps;  // of epochs it is not known yet
      steps.push_back(runs()[place].end.empty() ? std::max<int64_t>(most, 1) : 0);
    }
    std::vector<size_t> share;
    for (const size_t item : share_evenly(steps, group_)) share.push_back(places[item]);
    return share;
  }

  // Each rank does its share of the work on these runs; behind it all know what they came to. False: one was interrupted.
  bool together(const std::vector<size_t>& places, const std::function<bool(const std::vector<size_t>&)>& work) {
    if (group_ == nullptr) return work(places);
    if (watch_.interrupted) watch_.interrupted();  // from here a signal is for all, also to a rank that has nothing to do
    const std::vector<size_t> share = share_of(places);
    const bool done = share_records(share, work(share));
    store_.save();
    return done;
  }

  // What this rank knows of these runs, for all. Whether every rank is done.
  bool share_records(const std::vector<size_t>& places, bool done) {
    if (group_ == nullptr) return done;
    const OrderedJson mine = {{"done", done}, {"runs", store_.records_of(places)}};
    const std::vector<std::string> all = gather(group_, mine.dump(-1, ' ', false, OrderedJson::error_handler_t::replace));
    for (size_t rank = 0; rank < all.size(); ++rank) {
      const OrderedJson its = OrderedJson::parse(all[rank]);
      done = done && its["done"].get<bool>();
      if (static_cast<int64_t>(rank) != group_->rank()) store_.restore(its["runs"], str("rank ", rank));
    }
    return done;
  }

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
    if (sweep_.tests && !test(best)) return false;
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
    std::set<size_t> said;
    trainer_.ended = [&](size_t place) {
      said.insert(place);
      say(described(place));
    };
    const bool done = train(places, std::nullopt, 0);
    trainer_.ended = {};
    for (const size_t place : places)  // what other ranks trained
      if (done && !said.contains(place)) say(described(place));
    return done;
  }

  bool train(const std::vector<size_t>& places, std::optional<int64_t> pause_at, size_t rung) {
    return together(places, [&](const std::vector<size_t>& share) { return trainer_.train(share, pause_at, rung); });
  }

  bool test(const Row& finished) {
    return together(finished, [this](const std::vector<size_t>& share) {
      return std::all_of(share.begin(), share.end(), [this](size_t place) { return trainer_.test(place); });
    });
  }

  // Synchronous: at each rung all that came there are ranked.
  bool halve(std::vector<Row> rows) {
    for (size_t rung = 0; !rows.empty(); ++rung) {
      const std::optional<int64_t> steps = rung_steps(rung);
      std::vector<size_t> places;
      for (const Row& row : rows) places.insert(places.end(), row.begin(), row.end());
      if (!train(places, steps, rung)) return false;
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
    if (!is_first(group_)) return;
    log::mute_stderr(false);
    log::info(line);
    log::mute_stderr(true);
  }

  Sweep& sweep_;
  const SweepWatch& watch_;
  RankGroup* group_;
  Store store_;
  Ranking ranking_;
  Trainer trainer_{sweep_, watch_, store_, ranking_, group_};
};

}  // namespace

RunEnd run_sweep(Sweep& sweep, const SweepWatch& watch, RankGroup* group) {
  const log::Muted runs_write_to_logs_of_their_own;
  return Course(sweep, watch, group).run();
}

}  // namespace dept
