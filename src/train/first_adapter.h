// The adapter that a run starts from: a fresh one as the options describe it, or the one that --peft_model_id names.
#pragma once

#include "dept/train/model_parts.h"
#include "dept/train/options.h"
#include "dept/train/run_data.h"

namespace dept {

/// Units of the network that makes a prompt: --encoder_hidden_size, else the model's width.
int64_t hidden_units(const TrainOptions& options, const ModelInfo& model);

/// How this run makes input of text and answers, for those who use the adapter.
AdapterTask adapter_task(const TrainOptions& options, const TaskData& data);

/// The model that a run trains or evaluates. Its adapter is read from `saved`, else it is the one of --peft_model_id, else drawn
/// with the run's seed; it has a head where the task type is SEQ_CLS. Throws io or bad_input.
AdaptedModel run_model(const TrainOptions& options, const RunData& data, std::shared_ptr<const Backbone> backbone,
                       const fs::path& saved = {});

}  // namespace dept
