#include "dept/nn/weights.h"

#include <ATen/ops/cat.h>

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept::nn {

namespace {

bool takes_int8(const LinearSpec& spec) {
  constexpr int64_t multiple = 32;
  int64_t out = 0;
  for (const LinearSpec::Part& part : spec.parts) out += part.out;
  return spec.in % multiple == 0 && out % multiple == 0;
}

// [heads, 3, K, ..] -> [3, heads, K, ..]
at::Tensor by_kind(const at::Tensor& rows, int64_t heads) {
  if (heads == 0) return rows;
  return rows.view({heads, 3, rows.size(0) / heads / 3, -1}).transpose(0, 1).reshape(rows.sizes());
}

}  // namespace

void WeightLoader::use(const ModelContext& context) {
  if (context.storage == Storage::gguf && !stored_)
    fail(Code::usage, "backbone_dtype", "same, fp32, fp16 or bf16 for a model that is not a .gguf file", "gguf");
  if ((context.storage == Storage::gguf || context.storage == Storage::int8) && !context.device.is_cpu())
    fail(Code::usage, "backbone_dtype", "same, fp32, fp16 or bf16 on a GPU", storage_name(context));
  storage_ = context.storage;
  kernels_ = context.kernels;
  device_ = context.device;
}

at::ScalarType WeightLoader::held_type(at::ScalarType dtype) const {
  switch (storage_) {
    case Storage::fp32:
      return at::kFloat;
    case Storage::fp16:
      return at::kHalf;
    case Storage::bf16:
      return at::kBFloat16;
    default:
      return dtype;
  }
}

kernels::FrozenMatrix WeightLoader::matrix(const std::string& name, at::IntArrayRef shape, at::ScalarType dtype) const {
  if (storage_ == Storage::gguf) return {{stored_(name, shape)}, dtype, kernels_};
  return {{{(*this)(name, shape, held_type(dtype))}}, dtype, kernels_};
}

kernels::FrozenLinear WeightLoader::linear(const LinearSpec& spec, at::ScalarType dtype) const {
  const bool int8 = storage_ == Storage::int8 && !spec.by_head && takes_int8(spec);
  const at::ScalarType read_as = int8 ? at::kFloat : held_type(dtype);
  std::vector<kernels::StoredRows> stored;
  std::vector<at::Tensor> weights, biases;
  for (const LinearSpec::Part& part : spec.parts) {
    const std::string name = part.name + ".weight";
    if (storage_ == Storage::gguf) {
      stored.push_back(stored_(name, {part.out, spec.in}));
      stored.back().data = by_kind(stored.back().data, spec.heads_of_three);
    } else {
      weights.push_back(spec.transposed ? (*this)(name, {spec.in, part.out}, read_as).t()
                                        : by_kind((*this)(name, {part.out, spec.in}, read_as), spec.heads_of_three));
    }
    if (spec.bias) biases.push_back(by_kind((*this)(part.name + ".bias", {part.out}, dtype), spec.heads_of_three));
  }
  if (int8) return kernels::FrozenLinear::int8(at::cat(weights), spec.bias ? at::cat(biases) : at::Tensor());
  if (!weights.empty()) stored.push_back({(weights.size() == 1 ? weights.front() : at::cat(weights)).contiguous()});
  return kernels::FrozenLinear({std::move(stored), dtype, kernels_}, spec.bias ? at::cat(biases) : at::Tensor());
}

}  // namespace dept::nn
