// What trains: tensors with their names in files. Optimiser, clipping, checkpoints, all-reduce and file writer go by this list.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

namespace dept {

/// Which learning rate a parameter has.
enum class Group : int64_t {
  prompt = 0,  ///< learning_rate
  delta = 1,   ///< lora_embedding_lr (learning_rate when that is not given)
  head = 2,    ///< head_learning_rate (learning_rate when that is not given)
  visual = 3,  ///< visual_learning_rate (learning_rate when that is not given)
};
inline constexpr int64_t groups = 4;

/// One tensor that trains.
struct Parameter {
  std::string name;  ///< as in adapter files
  Group group = Group::prompt;
  at::Tensor value;  ///< [K, ...], the owner's memory: who writes to it moves the adapter
};

/// A gradient for each of a list of parameters, in its order: sums over a batch.
using Gradients = std::vector<at::Tensor>;

}  // namespace dept
