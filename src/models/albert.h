// ALBERT (Lan et al. 2020): BERT with narrow word embeddings and layers that share their weights.
#pragma once

#include <memory>
#include <string>

#include "models/model_files.h"

namespace dept {

ModelInfo albert_info(const Json& config, const std::string& where);
std::unique_ptr<Backbone> make_albert(const ModelFiles& files, const Context& ctx);

}  // namespace dept
