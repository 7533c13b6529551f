#include "dept/adapter/weights.h"

#include <ATen/ops/zeros_like.h>

#include "dept/adapter/method.h"

namespace dept {

std::vector<Parameter> AdapterWeights::parameters() const {
  std::vector<Parameter> all = input->parameters();
  for (Parameter& parameter : head_parameters(head)) all.push_back(std::move(parameter));
  for (Parameter& parameter : visual_parameters(visual)) all.push_back(std::move(parameter));
  return all;
}

AdapterWeights placed(const AdapterWeights& weights, at::Device device) {
  AdapterWeights there = weights;
  there.input = placed(weights.input, device);
  for (const HeadTensor& tensor : head_tensors(weights.head.form, 0, 0)) {
    at::Tensor& value = there.head.*tensor.tensor;
    value = value.to(device);
  }
  for (const VisualTensor& tensor : visual_tensors(weights.visual.form, {})) {
    at::Tensor& value = there.visual.*tensor.tensor;
    value = value.to(device);
  }
  if (there.idle.defined()) there.idle = there.idle.to(device);
  return there;
}

Gradients no_gradients(const std::vector<Parameter>& parameters) {
  Gradients zeros;
  for (const Parameter& parameter : parameters) zeros.push_back(at::zeros_like(parameter.value));
  return zeros;
}

}  // namespace dept
