#include "dept/train/pass.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <vector>

#include "dept/base/log_file.h"

namespace dept {
namespace {

double tokens_of(std::span<const Example> examples) {
  size_t tokens = 0;
  for (const Example& example : examples) tokens += static_cast<size_t>(example.read_tokens()) + example.target.size();
  return static_cast<double>(tokens);
}

// Whether `act` could be done: what is not finite ends its own loop alone.
template <class Act>
bool attempt(TrainingLoop& loop, const Act& act) {
  if (loop.failure) return false;
  const log::Using lines(loop.log_file());
  try {
    act();
    return true;
  } catch (const NotFinite&) {
    loop.failure = std::current_exception();
    return false;
  }
}

}  // namespace

PassCost Pass::step(std::span<TrainingLoop* const> loops) {
  using Clock = std::chrono::steady_clock;
  PassCost cost;
  const auto start = Clock::now();
  for (TrainingLoop* loop : loops) loop->begin_step();
  cost.tokens = accumulate({loops.begin(), loops.end()});
  for (TrainingLoop* loop : loops) attempt(*loop, [&] { loop->update(); });
  cost.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  std::vector<TrainingLoop*> due;
  std::copy_if(loops.begin(), loops.end(), std::back_inserter(due),
               [](const TrainingLoop* loop) { return loop->end_step_evaluates(); });
  evaluate(std::move(due));
  for (TrainingLoop* loop : loops) attempt(*loop, [&] { loop->end_step(); });
  return cost;
}

void Pass::evaluate(std::vector<TrainingLoop*> loops) {
  using Clock = std::chrono::steady_clock;
  while (loops.size() > 1) {
    std::vector<StepPart> parts;
    std::vector<TrainingLoop*> alike, others;
    for (TrainingLoop* loop : loops) (loop->evaluated_as(*loops.front()) ? alike : others).push_back(loop);
    loops = std::move(others);
    if (alike.size() == 1) continue;
    for (TrainingLoop* loop : alike) parts.push_back({&loop->step(), {}, 0});
    const auto start = Clock::now();
    std::vector<Evaluation> found = alike.front()->evaluate(stack_.joined(parts));
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count() / static_cast<double>(alike.size());
    for (size_t k = 0; k < alike.size(); ++k) alike[k]->give(std::move(found[k]), seconds);
  }
}

// The step's micro-batches, with the count of their tokens. Loops that have fewer of them, as where an epoch ends, leave earlier.
double Pass::accumulate(std::vector<TrainingLoop*> loops) {
  double tokens = 0;
  while (!loops.empty()) {
    std::vector<StepPart> parts;
    for (TrainingLoop* loop : loops) parts.push_back(loop->next_part());
    for (const StepPart& part : parts) tokens += tokens_of(part.examples);
    const std::vector<at::Tensor> counted = stack_.accumulate(parts);
    std::vector<TrainingLoop*> more;
    for (size_t k = 0; k < loops.size(); ++k) {
      bool complete = true;
      attempt(*loops[k], [&] { complete = loops[k]->complete(counted[k]); });
      if (!complete) more.push_back(loops[k]);
    }
    loops = std::move(more);
  }
  return tokens;
}

}  // namespace dept
