// ELECTRA (Clark et al., arXiv 2003.10555): BERT without a pooler, and in its small and generator models with narrow word
// embeddings.
#pragma once

#include <memory>
#include <string>

#include "models/unread.h"

namespace dept {

/// Heads of other tasks, those of the two networks of its training among them: a task's own head is the adapter's.
inline constexpr std::string_view electra_unread[] = {"embeddings.position_ids",
                                                      "electra.embeddings.position_ids",
                                                      "discriminator_predictions.*",
                                                      "generator_predictions.*",
                                                      "generator_lm_head.*",
                                                      "classifier.weight",
                                                      "classifier.bias",
                                                      "classifier.dense.weight",
                                                      "classifier.dense.bias",
                                                      "classifier.out_proj.weight",
                                                      "classifier.out_proj.bias",
                                                      "qa_outputs.weight",
                                                      "qa_outputs.bias"};

ModelInfo electra_info(const Json& config, const std::string& where);
std::unique_ptr<Backbone> make_electra(const ModelFiles& files, const ModelContext& context);

}  // namespace dept
