// The files of a model: its configuration and its weights under Hugging Face's names, whatever the container.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "dept/base/json.h"
#include "dept/models/backbone.h"
#include "dept/nn/weights.h"
#include "dept/tensorio/gguf.h"

namespace dept {

/// Names of tensors as a file has them.
using TensorNames = std::set<std::string, std::less<>>;

struct ModelFiles {
  Json config;        ///< config.json, or the same keys made from GGUF metadata
  std::string where;  ///< the configuration's file, for messages
  std::vector<int64_t> eos_ids;
  std::shared_ptr<const TensorSource> weights;                          ///< null when only the configuration was asked for
  nn::WeightLoader loader;                                              ///< over `weights`
  std::shared_ptr<TensorNames> read = std::make_shared<TensorNames>();  ///< of the tensors that the loader has given out
  std::optional<int64_t> answer_start_id{};  ///< encoder-decoder: what answers start with, where the files say it
};

/// A folder with config.json, or a .gguf file of the Llama architecture. Throws io or bad_input.
ModelFiles open_model(const fs::path& path, bool with_weights);

}  // namespace dept
