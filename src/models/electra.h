// ELECTRA (Clark et al., arXiv 2003.10555): BERT without a pooler, and in its small and generator models with narrow word
// embeddings.
#pragma once

#include <memory>
#include <string>

#include "models/unread.h"

namespace dept {

/// Positions that are computed, and heads of other tasks, those of the two networks of its training among them.
inline constexpr auto electra_unread = joined({"embeddings.position_ids", "electra.embeddings.position_ids",
                                               "discriminator_predictions.*", "generator_predictions.*", "generator_lm_head.*"},
                                              linear_heads, dense_heads);

ModelInfo electra_info(const Json& config, const std::string& where);
std::unique_ptr<Backbone> make_electra(const ModelFiles& files, const ModelContext& context);

}  // namespace dept
