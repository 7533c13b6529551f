#include "dept/adapter/method.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>

#include "dept/base/error.h"
#include "dept/base/text.h"

// One line a method: the name of its `const Method` in its own file.
#define DEPT_METHODS(METHOD) \
  METHOD(decomposed_prompt)  \
  METHOD(prompt_tuning)      \
  METHOD(adept)              \
  METHOD(ulpt)               \
  METHOD(dpt)                \
  METHOD(residual_prompt)    \
  METHOD(p_tuning)

namespace dept {

#define DEPT_DECLARE(name) extern const Method name;
DEPT_METHODS(DEPT_DECLARE)
#undef DEPT_DECLARE

const std::vector<const Method*>& methods() {
#define DEPT_LIST(name) &name,
  static const std::vector<const Method*> all = {DEPT_METHODS(DEPT_LIST)};
#undef DEPT_LIST
  return all;
}

const Method& find_method(std::string_view peft_type) {
  std::vector<std::string> names;
  for (const Method* method : methods()) {
    if (method->peft_type == peft_type) return *method;
    names.emplace_back(method->peft_type);
  }
  fail(Code::usage, "peft_type", str("one of ", join(names, ", ")), quote(std::string(peft_type)));
}

const Method& dept_method() {
  return decomposed_prompt;
}

const Method& prompt_tuning_method() {
  return prompt_tuning;
}

std::unique_ptr<InputAdapter> make_adapter(const Method& method, const AdapterShape& shape,
                                           const std::vector<at::Tensor>& values) {
  const std::vector<AdapterTensor> tensors = method.tensors(shape);
  if (values.size() != tensors.size())
    fail(Code::bug, std::string(method.peft_type), str(tensors.size(), " tensors"), str(values.size()));
  std::vector<Parameter> parameters;
  for (size_t i = 0; i < tensors.size(); ++i) {
    std::vector<int64_t> expected = tensors[i].shape;
    expected.insert(expected.begin(), values[0].size(0));
    if (values[i].sizes() != at::IntArrayRef(expected) || values[i].scalar_type() != values[0].scalar_type())
      fail(Code::bug, str(method.peft_type, ": ", tensors[i].name),
           dept::str(values[0].scalar_type(), " ", at::IntArrayRef(expected)),
           dept::str(values[i].scalar_type(), " ", values[i].sizes()));
    parameters.push_back({tensors[i].name, tensors[i].group, values[i]});
  }
  std::unique_ptr<InputAdapter> adapter = method.make(shape, std::move(parameters));
  adapter->method_ = &method;
  return adapter;
}

std::shared_ptr<const InputAdapter> placed(std::shared_ptr<const InputAdapter> adapter, at::Device device) {
  if (adapter->device() == device) return adapter;
  std::vector<at::Tensor> values;
  for (const Parameter& parameter : adapter->parameters()) values.push_back(parameter.value.to(device));
  return make_adapter(adapter->method(), adapter->shape(), values);
}

std::unique_ptr<InputAdapter> start_adapter(const Method& method, const AdapterShape& shape, const AdapterStart& start) {
  std::vector<at::Tensor> values = method.start(shape, start);
  for (at::Tensor& value : values) value = value.unsqueeze(0).contiguous();
  return make_adapter(method, shape, values);
}

std::unique_ptr<InputAdapter> no_adapter(int64_t width) {
  AdapterShape shape;
  shape.width = width;
  return make_adapter(prompt_tuning, shape, {at::zeros({1, 0, width})});
}

std::unique_ptr<InputAdapter> prompt_alone(const FoldedAdapter& folded, int64_t submodules) {
  AdapterShape shape;
  shape.submodules = submodules;
  shape.prompt_tokens = folded.prompt.size(1) / submodules;
  shape.width = folded.prompt.size(2);
  return make_adapter(prompt_tuning, shape, {folded.prompt});
}

at::Tensor kaiming_uniform(at::IntArrayRef shape, int64_t fan_in, at::Generator generator) {
  at::Tensor values = at::empty(shape, at::kFloat);
  if (fan_in == 0) return values;
  // In the order of torch.nn.init, so that the bound has the same bits: gain, deviation, bound.
  const double slope = std::sqrt(5.0);
  const double gain = std::sqrt(2.0 / (1.0 + slope * slope));
  const double bound = std::sqrt(3.0) * (gain / std::sqrt(static_cast<double>(fan_in)));
  return values.uniform_(-bound, bound, generator);
}

}  // namespace dept
