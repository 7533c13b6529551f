// What trains. The one list that optimiser, clipping, checkpoint, all-reduce, parameter count and file writer go by.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "dept/adapter/weights.h"

namespace dept {

/// Which learning rate a trainable has.
enum class Group : int64_t {
  prompt = 0,  ///< learning_rate
  delta = 1,   ///< lora_embedding_lr (learning_rate when that is not given)
  head = 2,    ///< head_learning_rate (learning_rate when that is not given)
};
inline constexpr int64_t groups = 3;

struct Trainable {
  std::string name;  ///< as in adapter files
  at::Tensor value;  ///< [K, ...], the weights' own memory
  at::Tensor grad;   ///< same shape, zeros at first
  Group group;
};

/// P, A, B and the head's tensors with fresh gradients; those without elements (rank 0, no prompt) are left out.
std::vector<Trainable> list_trainables(const AdapterWeights& weights);

/// Adds the gradients of one backward pass (sums, not means) to the list's own.
void add_gradients(std::vector<Trainable>& trainables, const AdapterWeights& gradients);
void zero_gradients(std::vector<Trainable>& trainables);

/// Trained numbers of one configuration.
int64_t parameter_count(const std::vector<Trainable>& trainables);

}  // namespace dept
