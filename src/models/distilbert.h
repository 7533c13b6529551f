// DistilBERT (Sanh et al., arXiv 1910.01108): BERT's layers without token types and without a pooler, under names of their own.
#pragma once

#include <memory>
#include <string>

#include "models/bert_encoder.h"
#include "models/unread.h"

namespace dept {

/// Heads of other tasks, the one that classifies among them: a task's own head is the adapter's.
inline constexpr std::string_view distilbert_unread[] = {"embeddings.position_ids", "distilbert.embeddings.position_ids",
                                                         "vocab_transform.*",       "vocab_layer_norm.*",
                                                         "vocab_projector.*",       "pre_classifier.weight",
                                                         "pre_classifier.bias",     "classifier.weight",
                                                         "classifier.bias",         "qa_outputs.weight",
                                                         "qa_outputs.bias"};

/// Throws bad_input for a missing, impossible or not supported field.
BertConfig read_distilbert_config(const Json& config, const std::string& where);
ModelInfo distilbert_info(const Json& config, const std::string& where);
std::unique_ptr<Backbone> make_distilbert(const ModelFiles& files, const ModelContext& context);

}  // namespace dept
