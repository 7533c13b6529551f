// DistilBERT (Sanh et al., arXiv 1910.01108): BERT's layers without token types and without a pooler, under names of their own.
#pragma once

#include <memory>
#include <string>

#include "models/bert_encoder.h"
#include "models/unread.h"

namespace dept {

/// Positions that are computed, and heads of other tasks.
inline constexpr auto distilbert_unread =
    joined({"embeddings.position_ids", "distilbert.embeddings.position_ids", "vocab_transform.*", "vocab_layer_norm.*",
            "vocab_projector.*", "pre_classifier.weight", "pre_classifier.bias"},
           linear_heads);

/// Throws bad_input for a missing, impossible or not supported field.
BertConfig read_distilbert_config(const Json& config, const std::string& where);
ModelInfo distilbert_info(const Json& config, const std::string& where);
std::unique_ptr<Backbone> make_distilbert(const ModelFiles& files, const ModelContext& context);

}  // namespace dept
