#include "dept/nn/weights.h"

#include <ATen/ops/cat.h>

namespace dept::nn {

kernels::FrozenLinear WeightLoader::linear(const LinearSpec& spec, at::ScalarType dtype) const {
  std::vector<at::Tensor> weights, biases;
  for (const LinearSpec::Part& part : spec.parts) {
    weights.push_back(spec.transposed ? read_(part.name + ".weight", {spec.in, part.out}, dtype).t()
                                      : read_(part.name + ".weight", {part.out, spec.in}, dtype));
    if (spec.bias) biases.push_back(read_(part.name + ".bias", {part.out}, dtype));
  }
  const at::Tensor weight = weights.size() == 1 ? weights.front() : at::cat(weights);
  return kernels::FrozenLinear(weight.contiguous(), spec.bias ? at::cat(biases) : at::Tensor());
}

}  // namespace dept::nn
