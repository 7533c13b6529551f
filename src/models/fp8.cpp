#include "models/fp8.h"

#include <ATen/TensorOperators.h>

#include <algorithm>

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {
namespace {

std::string method_of(const Json& quantisation, const std::string& where) {
  if (quantisation.contains("quant_method")) return require<std::string>(quantisation, "quant_method", where);
  for (const char* key : {"load_in_8bit", "load_in_4bit"})
    if (quantisation.contains(key)) return "bitsandbytes";
  return "";
}

int64_t blocks_over(int64_t size, int64_t block) {
  return (size + block - 1) / block;
}

// values [rows, columns] become values times the scale [R, C] of their blocks.
void multiply_blocks(const at::Tensor& values, const at::Tensor& scale, const Fp8Config& c) {
  for (int64_t r = 0; r < scale.size(0); ++r) {
    const int64_t begin = r * c.block_rows, end = std::min(begin + c.block_rows, values.size(0));
    values.slice(0, begin, end).mul_(scale[r].repeat_interleave(c.block_columns).slice(0, 0, values.size(1)));
  }
}

}  // namespace

std::optional<Fp8Config> read_fp8_config(const Json& config, const std::string& where) {
  const auto found = config.find("quantization_config");
  if (found == config.end() || found->is_null() || *found == Json::object()) return std::nullopt;
  const std::string inner = where + ": quantization_config";
  if (!found->is_object()) fail(Code::bad_input, inner, "an object", found->type_name());
  if (const std::string method = method_of(*found, inner); method != "fp8")
    fail(Code::bad_input, inner + ": quant_method", "fp8, or no quantization_config", quote(method));
  Fp8Config fp8;
  const auto blocks = value_or<std::vector<int64_t>>(*found, "weight_block_size", {}, inner);
  if (blocks.empty()) return fp8;
  constexpr int64_t most = int64_t{1} << 24;
  if (blocks.size() != 2 || std::any_of(blocks.begin(), blocks.end(), [](int64_t size) { return size < 1 || size > most; }))
    fail(Code::bad_input, inner + ": weight_block_size", "two sizes from 1 to 2^24", (*found)["weight_block_size"].dump());
  return Fp8Config{blocks[0], blocks[1]};
}

at::Tensor read_fp8(const TensorSource& weights, const Fp8Config& config, const std::string& name, at::IntArrayRef shape,
                    at::ScalarType dtype, TensorNames& names) {
  const TensorInfo& info = weights.require(name, shape);
  if (!info.type.starts_with("F8_")) return weights.read(name, shape, dtype);
  const std::string stem = name.substr(0, name.rfind('.'));
  for (const char* unused : {".activation_scale", ".input_scale"})  // how activations would be rounded to 8 bits
    if (weights.find(stem + unused) != nullptr) names.insert(stem + unused);
  const TensorInfo* scale = nullptr;
  for (const char* suffix : {"_scale_inv", "_scale"})
    if (scale == nullptr) scale = weights.find(name + suffix);
  if (scale == nullptr)
    fail(Code::bad_input, str(weights.path().string(), ": ", name), "a tensor of its scale beside it: " + name + "_scale_inv",
         str("none, and the type ", info.type));
  names.insert(scale->name);
  const at::Tensor values = weights.read(name, shape, at::kFloat);
  if (std::all_of(scale->shape.begin(), scale->shape.end(), [](int64_t size) { return size == 1; }))
    return values.mul_(weights.read(scale->name, scale->shape, at::kFloat).item()).to(dtype);
  if (shape.size() != 2 || config.block_rows == 0) weights.require(scale->name, {});  // one number was expected
  const int64_t grid[] = {blocks_over(shape[0], config.block_rows), blocks_over(shape[1], config.block_columns)};
  multiply_blocks(values, weights.read(scale->name, grid, at::kFloat), config);
  return values.to(dtype);
}

}  // namespace dept
