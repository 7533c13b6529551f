// The files of a tokenizer that has no tokenizer.json.
#pragma once

#include "text/pipeline.h"
#include "text/sources.h"

namespace dept {

/// A tokenizer.json with every field that the `tokenizers` library writes, and a tokenizer_config.json whose class takes it as it
/// is: both load in transformers and give the same tokenizer. `tokenizer` is what was made of `source`.
TokenizerPipeline::Files written_files(TokenizerSource source, const TokenizerPipeline& tokenizer);

}  // namespace dept
