#include "dept/adapter/weights.h"

#include <ATen/ops/zeros_like.h>

namespace dept {

std::vector<Parameter> AdapterWeights::parameters() const {
  std::vector<Parameter> all = input->parameters();
  for (Parameter& parameter : head_parameters(head)) all.push_back(std::move(parameter));
  return all;
}

Gradients no_gradients(const std::vector<Parameter>& parameters) {
  Gradients zeros;
  for (const Parameter& parameter : parameters) zeros.push_back(at::zeros_like(parameter.value));
  return zeros;
}

}  // namespace dept
