// `dept train` whole: checks, data, model, training, evaluation, results.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "dept/train/loop.h"
#include "dept/train/options.h"

namespace dept {

enum class RunEnd {
  done,
  interrupted,
  done_before,
  paused,    ///< at RunControl::pause_at
  too_long,  ///< more steps than RunControl::most_steps: not gone on with
  diverged,  ///< the loss or a gradient is not finite
};

struct RunData;
class RankGroup;

/// What the last run read, kept for the next one if that needs the same. An object is immutable once it is made.
template <class T>
class Kept {
 public:
  template <class Make>
  std::shared_ptr<const T> get(const std::string& key, const Make& make) {
    if (value_ && key_ == key) return value_;
    value_.reset();  // two are never held at once
    value_ = make();
    key_ = key;
    return value_;
  }

 private:
  std::string key_;
  std::shared_ptr<const T> value_;
};

/// The model and the encoded data of runs that follow each other in one process.
struct SharedInputs {
  Kept<Backbone> backbone;
  Kept<RunData> data;
};

/// How a run that is one of many differs from one by itself. Where it ends early it leaves trainer_state.json.
struct RunControl {
  SharedInputs& shared;
  bool reads_test = false;            ///< the test data are read too, which do_predict may ask for later
  std::optional<int64_t> pause_at;    ///< a step at which it evaluates on the validation data, saves and leaves
  std::optional<int64_t> most_steps;  ///< where it may end at the latest
  std::function<void(int64_t step, int64_t steps, double loss)> stepped;  ///< called after each step
  std::string why;                                                        ///< set where it diverged
};

/// Runs what the options ask for. They are settled; `set` describes them and knows which were given.
/// `interrupted` turning true ends the run after the step or the evaluation's batch at hand, with a checkpoint.
/// Throws what the checks find, all at once and before a model is loaded; later io and NotFinite. With a group every rank calls
/// it alike: they train together, and rank 0 alone writes and logs.
RunEnd run_training(TrainOptions& options, const OptionSet& set, const Interrupt& interrupted, RankGroup* group = nullptr);

/// A training run in parts, for one that trains beside others (together.h). All arguments outlive it.
class TrainingRun {
 public:
  /// With a group the run is that of all its ranks; there is no control then.
  TrainingRun(TrainOptions& options, const OptionSet& set, Interrupt interrupted, RunControl* control,
              RankGroup* group = nullptr);
  ~TrainingRun();
  TrainingRun(const TrainingRun&) = delete;
  TrainingRun& operator=(const TrainingRun&) = delete;

  /// Checks, claims the folder, reads, prepares. The run's end where nothing follows: done_before or too_long.
  std::optional<RunEnd> begin();

  /// From begin on; null where nothing is to be trained.
  TrainingLoop* loop();
  /// A part of the loop, whose errors are noted as the run's. Throws what it throws.
  void in_training(const std::function<void(TrainingLoop&)>& part);

  /// What follows the loop that ended so: results, evaluations, the mark that the run is finished.
  RunEnd finish(LoopEnd end);
  /// What follows a loop that has failed, under a control.
  RunEnd fail();
  /// Lets go of the folder, in which it writes no more.
  void release();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

/// What run_training checks before anything is loaded, but for the claim of its folder. Settles what an adapter's file says.
void check_training(TrainOptions& options, const OptionSet& set);

/// The test data by the adapter of a run that is finished in output_dir; leaves what that run had left with do_predict.
/// False: interrupted. Throws as run_training.
bool test_finished_run(TrainOptions& options, const OptionSet& set, const Interrupt& interrupted, RunControl& control);

}  // namespace dept
