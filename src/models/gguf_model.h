// A GGUF file as a model: its metadata as config.json's keys, its tensors under Hugging Face's names (gguf_architectures.h).
#pragma once

#include "dept/models/model_files.h"

namespace dept {

/// Throws bad_input for another architecture, or metadata of it that change the result and that are not known here.
Json config_of_gguf(const GgufFile& file);

/// The tensors of `file` for a model of that configuration; each name that is read is added to `read`.
nn::WeightLoader gguf_loader(std::shared_ptr<const GgufFile> file, const Json& config, const std::string& where,
                             std::shared_ptr<TensorNames> read);

}  // namespace dept
