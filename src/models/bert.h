// BERT (Devlin et al. 2019) and RoBERTa (Liu et al. 2019), which has the same layers, no pooler, and positions from 2.
#pragma once

#include <memory>
#include <string>

#include "models/unread.h"

namespace dept {

/// Heads of other tasks, the one that classifies among them: a task's own head is the adapter's.
inline constexpr std::string_view bert_unread[] = {"embeddings.position_ids",
                                                   "bert.embeddings.position_ids",
                                                   "cls.*",
                                                   "classifier.weight",
                                                   "classifier.bias",
                                                   "qa_outputs.weight",
                                                   "qa_outputs.bias"};

ModelInfo bert_info(const Json& config, const std::string& where);
std::unique_ptr<Backbone> make_bert(const ModelFiles& files, const ModelContext& context);

/// The pooler as well, which no head of RoBERTa stands on.
inline constexpr std::string_view roberta_unread[] = {"embeddings.position_ids",
                                                      "roberta.embeddings.position_ids",
                                                      "pooler.dense.weight",
                                                      "pooler.dense.bias",
                                                      "roberta.pooler.dense.weight",
                                                      "roberta.pooler.dense.bias",
                                                      "lm_head.*",
                                                      "classifier.weight",
                                                      "classifier.bias",
                                                      "classifier.dense.weight",
                                                      "classifier.dense.bias",
                                                      "classifier.out_proj.weight",
                                                      "classifier.out_proj.bias",
                                                      "qa_outputs.weight",
                                                      "qa_outputs.bias"};

ModelInfo roberta_info(const Json& config, const std::string& where);
std::unique_ptr<Backbone> make_roberta(const ModelFiles& files, const ModelContext& context);

}  // namespace dept
