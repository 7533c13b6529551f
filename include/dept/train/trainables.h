// The parameters of an adapter with their gradients: what optimiser and clipping work on.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "dept/adapter/parameters.h"

namespace dept {

struct Trainable {
  std::string name;  ///< as in adapter files
  at::Tensor value;  ///< [K, ...], the weights' own memory
  at::Tensor grad;   ///< same shape, zeros at first
  Group group;
  size_t parameter = 0;  ///< its place in the list of parameters
};

/// Each parameter with a fresh gradient; those without elements (rank 0, no prompt) are left out.
std::vector<Trainable> list_trainables(const std::vector<Parameter>& parameters);

/// Adds the gradients of one backward pass, one for each parameter, to the list's own.
void add_gradients(std::vector<Trainable>& trainables, const Gradients& gradients);
void zero_gradients(std::vector<Trainable>& trainables);

/// Trained numbers of one configuration: those of a visual embedding, or all others.
int64_t parameter_count(const std::vector<Trainable>& trainables, bool visual = false);

}  // namespace dept
