// DeBERTa v2 and v3 (He et al., arXiv 2006.03654 and 2111.09543): BERT's layers with disentangled attention to relative positions
// in buckets that widen with the distance, and in v2 a convolution beside the first.
#pragma once

#include <memory>
#include <string>

#include "models/bert_encoder.h"
#include "models/unread.h"

namespace dept {

/// Positions that are computed, absolute ones of models that do not add them, and heads of other tasks with the layer in front.
inline constexpr auto deberta_unread =
    joined({"embeddings.position_ids", "deberta.embeddings.position_ids", "embeddings.position_embeddings.weight",
            "deberta.embeddings.position_embeddings.weight", "cls.*", "lm_predictions.*", "mask_predictions.*",
            "pooler.dense.weight", "pooler.dense.bias"},
           linear_heads);

ModelInfo deberta_info(const Json& config, const std::string& where);
std::unique_ptr<Backbone> make_deberta(const ModelFiles& files, const ModelContext& context);

/// The part of a DeBERTa model that BERT has too. Throws bad_input for a missing, impossible or not supported field.
BertConfig read_deberta_bert(const Json& config, const std::string& where);

}  // namespace dept
