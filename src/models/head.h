// The language-model head of a file, its own or the embedding.
#pragma once

#include "dept/models/model_files.h"

namespace dept {

/// `lm_head.weight` (`embed_out.weight`) [V, D] in `dtype` where the file has one, else `embedding`; random weights have one
/// unless info.tied. A head that equals the embedding is the embedding; another one is used whatever the configuration says, as
/// transformers 5 does, and a warning says so where `said_tied`. info.tied and info.parameters become those of what was found.
kernels::FrozenMatrix load_head(const ModelFiles& files, const kernels::FrozenMatrix& embedding, at::ScalarType dtype,
                                bool said_tied, ModelInfo& info);

/// The head of a family whose untied models must have one of their own: bad_input where they have none. No comparison is made
/// for a model that the configuration calls untied.
kernels::FrozenMatrix load_decoder_head(const ModelFiles& files, const kernels::FrozenMatrix& embedding, at::ScalarType dtype,
                                        ModelInfo& info);

}  // namespace dept
