// Training runs that share passes through one model.
#pragma once

#include <functional>
#include <memory>

#include "dept/train/run.h"
#include "dept/train/stack_width.h"

namespace dept {

/// Where runs come from and go to. Those of one call are alike but for what runs of a stack may differ in (stack_key).
struct RunQueue {
  /// The next run, not begun; null: none now. It is asked again when another has ended.
  std::function<std::unique_ptr<TrainingRun>()> next;
  /// Takes back each run, with how it ended and the most runs that shared a pass with it, itself included.
  std::function<void(TrainingRun& run, RunEnd end, size_t stack)> ended;
  Interrupt interrupted;
};

/// Trains the queue's runs, as many at a time as `width` says. Returns false when it was interrupted; every run at hand has ended
/// so then. Throws what a run throws, but for NotFinite.
bool train_together(const RunQueue& queue, StackWidth& width);

/// Runs with the same key may share passes: all options but those that each run of a stack has for itself. Empty: the run keeps
/// to itself.
std::string stack_key(const TrainOptions& options, const OptionSet& set);

}  // namespace dept
