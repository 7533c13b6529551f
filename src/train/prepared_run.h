// What a run works with once its files are read: its rows, the model with the adapter, and how answers are made.
#pragma once

#include <memory>

#include "dept/train/loop.h"
#include "dept/train/run.h"
#include "dept/train/run_data.h"
#include "train/run_results.h"

namespace dept {

struct PreparedRun {
  std::shared_ptr<const RunData> data;
  AdaptedModel model;
  PredictRules rules;
};

/// The rows, read or (with a control) kept from the run before.
std::shared_ptr<const RunData> run_data_of(const TrainOptions& options, const OptionSet& set, int threads, RunControl* control);

/// The model likewise. `saved`: the adapter is the one in output_dir.
PreparedRun prepare_run(const TrainOptions& options, const OptionSet& set, const ModelContext& context,
                        std::shared_ptr<const RunData> data, RunControl* control, bool saved);

/// What a loop over it works on. All arguments outlive what is returned.
LoopInputs inputs_of(const Call& call, const TrainOptions& options, PreparedRun& prepared, const Interrupt& interrupted,
                     RunEvents& events);

}  // namespace dept
