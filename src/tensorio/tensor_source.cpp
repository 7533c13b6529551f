#include "dept/tensorio/tensor_source.h"

#include <algorithm>
#include <cmath>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "tensorio/plain_types.h"

namespace dept {
namespace {

// A value is finite when its exponent bits are not all ones; comparing integers vectorises where std::isfinite does not.
template <class Bits>
bool all_finite(const void* data, int64_t count, Bits exponent) {
  const auto* bits = static_cast<const Bits*>(data);
  bool finite = true;
#pragma omp simd reduction(&& : finite)
  for (int64_t i = 0; i < count; ++i) finite = finite && (bits[i] & exponent) != exponent;
  return finite;
}

bool all_finite(const at::Tensor& tensor) {
  const void* data = tensor.const_data_ptr();
  switch (tensor.scalar_type()) {
    case at::kFloat:
      return all_finite<uint32_t>(data, tensor.numel(), 0x7F800000u);
    case at::kBFloat16:
      return all_finite<uint16_t>(data, tensor.numel(), 0x7F80u);
    case at::kHalf:
      return all_finite<uint16_t>(data, tensor.numel(), 0x7C00u);
    case at::kDouble:
      return all_finite<uint64_t>(data, tensor.numel(), 0x7FF0000000000000u);
    default:
      return true;
  }
}

}  // namespace

const TensorInfo* TensorSource::find(std::string_view name) const {
  const auto& all = tensors();
  const auto found = std::find_if(all.begin(), all.end(), [&](const TensorInfo& info) { return info.name == name; });
  return found == all.end() ? nullptr : &*found;
}

const TensorInfo& TensorSource::require(std::string_view name, at::IntArrayRef shape) const {
  const TensorInfo* info = find(name);
  const std::string where = str(path().string(), ": ", name);
  if (info == nullptr) fail(Code::bad_input, where, "this tensor", "a file without it");
  if (at::IntArrayRef(info->shape) != shape)
    fail(Code::bad_input, where, str("the shape ", shape_text({shape.data(), shape.size()})), shape_text(info->shape));
  return *info;
}

at::Tensor TensorSource::read(std::string_view name, at::IntArrayRef shape, at::ScalarType dtype) const {
  const TensorInfo& info = require(name, shape);
  const std::string where = str(path().string(), ": ", name);
  const at::Tensor stored = read(name);
  if (at::isFloatingType(stored.scalar_type()) != at::isFloatingType(dtype))
    fail(Code::bad_input, where, at::isFloatingType(dtype) ? "a floating-point type" : "a type of integers", info.type);
  at::Tensor values = stored.to(dtype);
  // After the conversion, so that numbers too large for `dtype` are found as well.
  if (!all_finite(values))
    fail(Code::bad_input, where, str("finite numbers in ", at::toString(dtype)), "NaN, infinity or overflow");
  return values;
}

}  // namespace dept
