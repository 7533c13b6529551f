// ALBERT (Lan et al. 2020): BERT with narrow word embeddings and layers that share their weights.
#pragma once

#include <memory>
#include <string>

#include "models/unread.h"

namespace dept {

/// Positions that are computed, and heads of other tasks.
inline constexpr auto albert_unread =
    joined({"embeddings.position_ids", "albert.embeddings.position_ids", "predictions.*", "sop_classifier.*"}, linear_heads);

ModelInfo albert_info(const Json& config, const std::string& where);
std::unique_ptr<Backbone> make_albert(const ModelFiles& files, const ModelContext& context);

}  // namespace dept
