// The options of `dept train` and how they are described, settled and turned into what a model is loaded with.
#pragma once

#include "dept/base/options.h"
#include "dept/data/quirks.h"
#include "dept/options.h"
#include "dept/tensor/context.h"
#include "dept/train/model_source.h"

namespace dept {

inline Quirks quirks_of(const DataOptions& data) {
  return Quirks(data.original_quirks);
}

/// Each group's options onto a set, under its own heading. The struct must outlive the set.
void describe(ModelOptions& options, OptionSet& set);
void describe(ImageOptions& options, OptionSet& set);
void describe(DataOptions& options, OptionSet& set);
void describe(AdapterOptions& options, OptionSet& set);
void describe(OptimizerOptions& options, OptionSet& set);
void describe(ScheduleOptions& options, OptionSet& set);
void describe(EvaluationOptions& options, OptionSet& set);
void describe(OutputOptions& options, OptionSet& set);
void describe(TrainOptions& options, OptionSet& set);

/// Throws usage for options of the data that contradict each other, labels and columns beside a named task among them.
void check_task_options(const DataOptions& options, const OptionSet& set);

/// Settles what depends on several options (aliases, implied values) and throws usage with every contradiction found.
/// `set` says which options were given.
void settle(TrainOptions& options, const OptionSet& set);
/// The part of it that model, data and adapter decide.
void settle_model(TrainOptions& options, const OptionSet& set);

/// Device, dtype, storage, kernels and threads. Throws usage.
ModelContext make_context(const ModelOptions& options);

/// A call of this seed, on one rank.
Call make_call(int64_t seed);

}  // namespace dept
