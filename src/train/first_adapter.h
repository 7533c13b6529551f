// The adapter that a run starts from: a fresh one as the options describe it, or the one that --peft_model_id names.
#pragma once

#include "dept/adapter/adapter_file.h"
#include "dept/models/backbone.h"
#include "dept/tasks/task.h"
#include "dept/text/tokenizer.h"
#include "dept/train/options.h"

namespace dept {

/// Units of the network that makes a prompt: --encoder_hidden_size, else the model's width.
int64_t hidden_units(const TrainOptions& options, const ModelInfo& model);

/// How this run makes input of text and answers, for those who use the adapter.
AdapterTask adapter_task(const TrainOptions& options, const TaskData& data);

/// Drawn with the run's seed, or read; with a head where the task type is SEQ_CLS. Throws io or bad_input.
Adapter first_adapter(const TrainOptions& options, const Backbone& backbone, const Tokenizer& tokenizer, const TaskData& task,
                      Semantics semantics);

}  // namespace dept
