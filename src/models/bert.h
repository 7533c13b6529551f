// BERT (Devlin et al. 2019) and RoBERTa (Liu et al. 2019), which has the same layers, no pooler, and positions from 2.
#pragma once

#include <memory>
#include <string>

#include "models/unread.h"

namespace dept {

/// Positions that are computed, and heads of other tasks.
inline constexpr auto bert_unread = joined({"embeddings.position_ids", "bert.embeddings.position_ids", "cls.*"}, linear_heads);

ModelInfo bert_info(const Json& config, const std::string& where);
std::unique_ptr<Backbone> make_bert(const ModelFiles& files, const ModelContext& context);

/// The pooler as well, which no head of RoBERTa stands on.
inline constexpr auto roberta_unread =
    joined({"embeddings.position_ids", "roberta.embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias",
            "roberta.pooler.dense.weight", "roberta.pooler.dense.bias", "lm_head.*"},
           linear_heads, dense_heads);

ModelInfo roberta_info(const Json& config, const std::string& where);
std::unique_ptr<Backbone> make_roberta(const ModelFiles& files, const ModelContext& context);

}  // namespace dept
