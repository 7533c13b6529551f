// MPNet (Song et al., arXiv 2004.09297): BERT's layers without token types, positions from 2, and T5's relative bias at each
// attention.
#pragma once

#include <memory>
#include <string>

#include "models/unread.h"

namespace dept {

/// Positions that are computed, the pooler, which no head stands on, and heads of other tasks.
inline constexpr auto mpnet_unread =
    joined({"embeddings.position_ids", "mpnet.embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias",
            "mpnet.pooler.dense.weight", "mpnet.pooler.dense.bias", "lm_head.*"},
           linear_heads, dense_heads);

ModelInfo mpnet_info(const Json& config, const std::string& where);
std::unique_ptr<Backbone> make_mpnet(const ModelFiles& files, const ModelContext& context);

}  // namespace dept
