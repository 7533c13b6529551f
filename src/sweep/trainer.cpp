#include "sweep/trainer.h"

#include <algorithm>
#include <limits>

namespace dept {

bool Trainer::train(const std::vector<size_t>& places, std::optional<int64_t> pause_at, size_t rung) {
  pause_at_ = pause_at;
  rung_ = rung;
  if (places.empty()) return true;
  for (const std::vector<size_t>& group : alike(places))
    if (!train_alike(group)) return false;
  return true;
}

// Runs that may share passes; all as one list where they take turns.
std::vector<std::vector<size_t>> Trainer::alike(const std::vector<size_t>& places) const {
  if (sweep_.spec.stack == 1) return {places};
  std::vector<std::pair<std::string, std::vector<size_t>>> groups;
  for (const size_t place : places) {
    const std::unique_ptr<Configuration> configuration = sweep_.configure(place);
    const std::string key = stack_key(configuration->train(), configuration->set);
    const auto found = std::find_if(groups.begin(), groups.end(), [&](const auto& group) { return group.first == key; });
    if (found != groups.end() && !key.empty())
      found->second.push_back(place);
    else
      groups.push_back({key, {place}});
  }
  std::vector<std::vector<size_t>> lists;
  for (auto& group : groups) lists.push_back(std::move(group.second));
  return lists;
}

bool Trainer::train_alike(const std::vector<size_t>& places) {
  queue_.assign(places.begin(), places.end());
  const std::unique_ptr<Configuration> first = sweep_.configure(places.front());
  StackWidth& width = widths_.try_emplace(stack_key(first->train(), first->set), sweep_.spec.stack).first->second;
  const RunQueue runs{[&] { return next(); },
                      [&](const TrainingRun& run, RunEnd end, size_t stack) { take_back(run, end, stack); },
                      [&] { return interrupted() || out_of_time(); }};
  while (!train_together(runs, width))
    if (interrupted()) return false;  // else the time is up: the rest of the queue ends by the budget
  return queue_.empty() || !interrupted();
}

std::unique_ptr<TrainingRun> Trainer::next() {
  ended_.clear();
  while (!queue_.empty() && !interrupted()) {
    const size_t place = queue_.front();
    RunRecord& run = store_.runs[place];
    const bool spent = !is_over(run) && (steps_left() <= 0 || out_of_time());
    if ((spent || waits_) && !underway_.empty()) return nullptr;
    waits_ = false;
    queue_.pop_front();
    if (!is_over(run) && !spent) return take(place);
    if (spent) {
      end_by_budget(sweep_.out, run);
      store_.save();
    }
    if (ended) ended(place);
  }
  return nullptr;
}

std::unique_ptr<TrainingRun> Trainer::take(size_t place) {
  RunRecord& record = store_.runs[place];
  charge();
  Underway& taken = underway_.emplace_back(
      Underway{place, sweep_.configure(place), RunControl{shared_, sweep_.tests, pause_at_, {}, {}, {}}, nullptr});
  if (sweep_.spec.budget_steps) taken.control.most_steps = record.steps + steps_left();
  taken.control.stepped = [this, place](int64_t step, int64_t steps, double loss) {
    charge();
    ++steps_;
    if (group_ != nullptr) group_->at_step(steps_);
    progress_.stepped(place, step, steps, loss);
  };
  prepare_folder(sweep_.out, record);
  std::vector<size_t> running;
  for (const Underway& one : underway_) running.push_back(one.place);
  progress_.begin(running);
  auto run = std::make_unique<TrainingRun>(
      taken.configuration->train(), taken.configuration->set, [this] { return interrupted() || out_of_time(); }, &taken.control);
  taken.run = run.get();
  return run;
}

void Trainer::take_back(const TrainingRun& run, RunEnd end, size_t stack) {
  charge();
  const auto back = std::find_if(underway_.begin(), underway_.end(), [&](const Underway& one) { return one.run == &run; });
  const size_t place = back->place;
  const std::string& why = back->control.why;
  back->run->release();  // before the sweep notes it: a run that is noted as ended is not opened again
  ended_.splice(ended_.end(), underway_, back);
  waits_ = false;
  if (end == RunEnd::too_long && !underway_.empty()) {
    waits_ = true;
    queue_.push_front(place);
    return;
  }
  RunRecord& record = store_.runs[place];
  record.stack = std::max(record.stack, static_cast<int64_t>(stack));
  const bool by_time = end == RunEnd::interrupted && !interrupted() && out_of_time();
  if (by_time)
    end_by_budget(sweep_.out, record);
  else if (end != RunEnd::interrupted)
    note_outcome(sweep_.out, record, end, why, sweep_.tests_all);
  store_.save();
  if (ended && (by_time || end != RunEnd::interrupted)) ended(place);
}

bool Trainer::test(size_t place) {
  RunRecord& run = store_.runs[place];
  if (!run.test.empty()) return true;
  if (interrupted()) return false;
  const std::unique_ptr<Configuration> configuration = sweep_.configure(place);
  RunControl control{shared_, true, {}, {}, {}, {}};
  progress_.begin({place});
  const auto start = Clock::now();
  const bool done = test_finished_run(configuration->train(), configuration->set, watch_.interrupted, control);
  run.seconds += std::chrono::duration<double>(Clock::now() - start).count();
  if (done) run.test = test_metrics(sweep_.out, run);
  store_.save();
  return done;
}

// Whether it has ended, or is at the rung.
bool Trainer::is_over(const RunRecord& run) const {
  return !run.end.empty() || (pause_at_ && run.rungs.size() > rung_);
}

// Of the budget, behind what the runs underway may take.
int64_t Trainer::steps_left() const {
  if (!sweep_.spec.budget_steps) return std::numeric_limits<int64_t>::max() / 2;
  int64_t spent = 0;
  for (const RunRecord& run : store_.runs) spent += run.steps;
  for (const Underway& one : underway_) spent += reserved(one);
  return *sweep_.spec.budget_steps - spent;
}

int64_t Trainer::reserved(const Underway& one) const {
  const TrainingLoop* loop = one.run == nullptr ? nullptr : one.run->loop();
  if (loop == nullptr) return 0;
  return std::min(loop->total_steps(), pause_at_.value_or(loop->total_steps())) - store_.runs[one.place].steps;
}

bool Trainer::out_of_time() {
  if (!sweep_.spec.budget_minutes) return false;
  charge();
  double spent = 0;
  for (const RunRecord& run : store_.runs) spent += run.seconds;
  return spent >= *sweep_.spec.budget_minutes * 60;
}

// The time since the last call, in equal parts to the runs underway.
void Trainer::charge() {
  const auto now = Clock::now();
  const double seconds = std::chrono::duration<double>(now - charged_).count();
  for (const Underway& one : underway_) store_.runs[one.place].seconds += seconds / static_cast<double>(underway_.size());
  charged_ = now;
}

}  // namespace dept
