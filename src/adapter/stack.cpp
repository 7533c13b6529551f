#include "dept/adapter/stack.h"

#include <ATen/ops/cat.h>

#include <algorithm>
#include <tuple>

#include "dept/adapter/method.h"
#include "dept/base/error.h"

namespace dept {
namespace {

auto numbers_of(const AdapterShape& s) {
  return std::tie(s.prompt_tokens, s.submodules, s.width, s.rank, s.max_length, s.hidden, s.alpha, s.dropout, s.seed);
}

}  // namespace

bool alike(const AdapterWeights& a, const AdapterWeights& b) {
  const InputAdapter &of_a = *a.input, &of_b = *b.input;
  if (&of_a.method() != &of_b.method() || numbers_of(of_a.shape()) != numbers_of(of_b.shape()) || a.head.form != b.head.form)
    return false;
  if (a.has_visual() || b.has_visual()) return false;
  const std::vector<Parameter> own = a.parameters(), other = b.parameters();
  return std::equal(own.begin(), own.end(), other.begin(), other.end(), [](const Parameter& x, const Parameter& y) {
    return x.value.sizes() == y.value.sizes() && x.value.scalar_type() == y.value.scalar_type();
  });
}

AdapterWeights stack_weights(std::span<const AdapterWeights* const> parts) {
  const AdapterWeights& first = *parts.front();
  std::vector<std::vector<at::Tensor>> values(first.parameters().size());  // of each parameter, by part
  for (const AdapterWeights* part : parts) {
    if (!alike(first, *part)) fail(Code::bug, "stack of adapters", "adapters that are alike", "others");
    const std::vector<Parameter> own = part->parameters();
    for (size_t i = 0; i < own.size(); ++i) values[i].push_back(own[i].value);
  }
  std::vector<at::Tensor> stacked;
  for (const std::vector<at::Tensor>& of_parts : values) {
    const at::Tensor& whole = stacked.emplace_back(at::cat(of_parts));
    int64_t k = 0;
    for (const at::Tensor& part : of_parts) {
      const int64_t count = part.size(0);
      part.set_(whole.narrow(0, k, count));
      k += count;
    }
  }
  AdapterWeights weights;
  const auto of_input = static_cast<std::ptrdiff_t>(first.input->parameters().size());
  weights.input = make_adapter(first.input->method(), first.input->shape(), {stacked.begin(), stacked.begin() + of_input});
  weights.head.form = first.head.form;
  auto next = stacked.begin() + of_input;
  for (const HeadTensor& tensor : head_tensors(first.head.form, 0, 0)) weights.head.*tensor.tensor = *next++;
  return weights;
}

}  // namespace dept
