// What a run is told that it was not asked for: options that change nothing, settings that hardly anybody means.
#pragma once

#include "dept/adapter/adapter_file.h"
#include "dept/models/backbone.h"
#include "dept/train/options.h"

namespace dept {

/// Logs what is trained and evaluated, a warning for the options that were given and that this run does not use, with the reason,
/// and one for the default learning rate. `adapter` is the one that is trained or evaluated.
void advise(const TrainOptions& options, const OptionSet& set, const ModelInfo& model, const AdapterConfig& adapter);

/// Logs a warning where the run of `steps` ends before its warm-up does.
void warn_of_long_warmup(const ScheduleOptions& options, int64_t steps);

/// A warning for options that were given and that only a named task, or only a model of the hub, uses.
void warn_of_idle_sources(const ModelOptions& model, const DataOptions& data, const OptionSet& set);
/// A warning for options of answers that were given and that are not written. `head`: a classification head answers.
void warn_of_idle_generation(const EvaluationOptions& options, const OptionSet& set, bool head);

/// "the adapter runs/sst2 (decomposed prompt of 10 tokens, rank 8) on t5-base", "the untrained model t5-base", for the log.
std::string what_is_evaluated(const ModelOptions& options);

}  // namespace dept
