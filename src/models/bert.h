// BERT (Devlin et al. 2019) and RoBERTa (Liu et al. 2019), which has the same layers, no pooler, and positions from 2.
#pragma once

#include <memory>
#include <string>

#include "models/model_files.h"

namespace dept {

ModelInfo bert_info(const Json& config, const std::string& where);
std::unique_ptr<Backbone> make_bert(const ModelFiles& files, const Context& ctx);

ModelInfo roberta_info(const Json& config, const std::string& where);
std::unique_ptr<Backbone> make_roberta(const ModelFiles& files, const Context& ctx);

}  // namespace dept
