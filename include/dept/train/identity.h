// What makes two runs the same: the options that decide what comes out, and what the files hold that they name.
#pragma once

#include "dept/tasks/task.h"
#include "dept/train/marker.h"
#include "dept/train/options.h"

namespace dept {

/// All options but those that change where a run writes, how it is shown, on how many threads it runs or how it is started.
OrderedJson deciding_options(const OptionSet& set);

/// {option: {file: digest}}: of data files all bytes; of a model, tokenizer or adapter the configuration and the tokenizer's
/// files whole and the weights as sampled_sha256 takes them. What is not on disk (yet) is left out. Throws io or bad_input.
OrderedJson file_contents(const TrainOptions& options);

/// Of a named task's splits that come from the hub: {split: {"rows": digest}} of their texts.
OrderedJson row_contents(const DataOptions& options, const TaskData& task);

}  // namespace dept
