// The methods that there are (docs/methods.md): a registry of what makes, names and starts an InputAdapter.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dept/adapter/input_adapter.h"

namespace dept {

/// A tensor of an adapter, without the leading K.
struct AdapterTensor {
  std::string name;  ///< in files
  Group group = Group::prompt;
  std::vector<int64_t> shape;
};

/// What a fresh adapter is drawn from.
struct AdapterStart {
  std::function<at::Tensor()> prompt;  ///< [M * submodules, D]: word embeddings of the initial text, or noise
  at::Generator generator;
};

struct Method {
  /// What it reads beside prompt and width, most of them fields of AdapterShape; options and files have these alone.
  struct Fields {
    bool words = false;  ///< the prompt starts from words or noise (AdapterStart::prompt)
    bool rank = false, rows = false, hidden = false, dropout = false, seed = false;
  };
  /// Option values where none are given; 0 leaves the option's own.
  struct Defaults {
    int64_t prompt_tokens = 0, rank = 0, hidden = 0;
    double dropout = 0;
  };

  std::string_view peft_type;
  std::string_view title;  ///< for model cards
  Fields fields;
  Defaults defaults;
  /// After training the prompt that the method made is all that is kept, as prompt_embeddings.
  bool keeps_prompt_alone = false;
  std::vector<AdapterTensor> (*tensors)(const AdapterShape&);
  /// A fresh adapter's values, without K, in the order of `tensors`, fp32.
  std::vector<at::Tensor> (*start)(const AdapterShape&, const AdapterStart&);
  std::unique_ptr<InputAdapter> (*make)(const AdapterShape&, std::vector<Parameter>);
};

/// For Method::make.
template <class Adapter>
std::unique_ptr<InputAdapter> make_adapter_of(const AdapterShape& shape, std::vector<Parameter> parameters) {
  return std::make_unique<Adapter>(shape, std::move(parameters));
}

/// All methods, in the order that messages list them.
const std::vector<const Method*>& methods();
/// By peft_type. Throws usage.
const Method& find_method(std::string_view peft_type);
/// DePT, and a prompt alone.
const Method& dept_method();
const Method& prompt_tuning_method();

/// An adapter on `values` [K, ...] in the order of method.tensors, which it takes as its own memory. Throws bug for other shapes.
std::unique_ptr<InputAdapter> make_adapter(const Method& method, const AdapterShape& shape,
                                           const std::vector<at::Tensor>& values);
/// A fresh one, K = 1.
std::unique_ptr<InputAdapter> start_adapter(const Method& method, const AdapterShape& shape, const AdapterStart& start);
/// One without a prompt: the model as it is.
std::unique_ptr<InputAdapter> no_adapter(int64_t width);
/// The prompt of `folded` alone.
std::unique_ptr<InputAdapter> prompt_alone(const FoldedAdapter& folded, int64_t submodules);

/// An adapter on `device`: itself where it is there already, else a copy.
std::shared_ptr<const InputAdapter> placed(std::shared_ptr<const InputAdapter> adapter, at::Device device);

/// Values as torch.nn.init draws them: U(-1/sqrt(fan_in), 1/sqrt(fan_in)), which is kaiming_uniform with a = sqrt 5 over fan_in.
at::Tensor kaiming_uniform(at::IntArrayRef shape, int64_t fan_in, at::Generator generator);

}  // namespace dept
