// ALBERT (Lan et al. 2020): BERT with narrow word embeddings and layers that share their weights.
#pragma once

#include <memory>
#include <string>

#include "models/unread.h"

namespace dept {

/// Heads of other tasks, the one that classifies among them: a task's own head is the adapter's.
inline constexpr std::string_view albert_unread[] = {"embeddings.position_ids", "albert.embeddings.position_ids",
                                                     "predictions.*",           "sop_classifier.*",
                                                     "classifier.weight",       "classifier.bias",
                                                     "qa_outputs.weight",       "qa_outputs.bias"};

ModelInfo albert_info(const Json& config, const std::string& where);
std::unique_ptr<Backbone> make_albert(const ModelFiles& files, const ModelContext& context);

}  // namespace dept
