#include "dept/tensorio/tensor_source.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "dept/base/clones.h"
#include "dept/base/error.h"
#include "dept/base/text.h"
#include "tensorio/parallel.h"
#include "tensorio/plain_types.h"

namespace dept {
namespace {

// A value is finite when its exponent bits are not all ones; comparing integers vectorises where std::isfinite does not.
template <class Bits>
DEPT_INLINE bool finite(const Bits* bits, size_t count, Bits exponent) {
  bool all = true;
#pragma omp simd reduction(&& : all)
  for (size_t i = 0; i < count; ++i) all = all && (bits[i] & exponent) != exponent;
  return all;
}
DEPT_CLONES bool are_finite(const uint16_t* bits, size_t count, uint16_t exponent) {
  return finite(bits, count, exponent);
}
DEPT_CLONES bool are_finite(const uint32_t* bits, size_t count, uint32_t exponent) {
  return finite(bits, count, exponent);
}
DEPT_CLONES bool are_finite(const uint64_t* bits, size_t count, uint64_t exponent) {
  return finite(bits, count, exponent);
}

template <class Bits>
bool all_finite(const at::Tensor& tensor, Bits exponent) {
  const auto* bits = static_cast<const Bits*>(tensor.const_data_ptr());
  std::atomic<bool> all = true;
  parallel_ranges(static_cast<size_t>(tensor.numel()), size_t{1} << 20, [&](size_t begin, size_t end) {
    if (!are_finite(bits + begin, end - begin, exponent)) all = false;
  });
  return all;
}

bool all_finite(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kFloat:
      return all_finite<uint32_t>(tensor, 0x7F800000u);
    case at::kBFloat16:
      return all_finite<uint16_t>(tensor, 0x7F80u);
    case at::kHalf:
      return all_finite<uint16_t>(tensor, 0x7C00u);
    case at::kDouble:
      return all_finite<uint64_t>(tensor, 0x7FF0000000000000u);
    default:
      return true;
  }
}

// That of what read() gives: block-quantised tensors become fp32.
at::ScalarType type_read(const TensorInfo& info) {
  const PlainType* plain = find_plain_type(info.type);
  return plain != nullptr ? plain->scalar : at::kFloat;
}

}  // namespace

const TensorInfo* TensorSource::find(std::string_view name) const {
  const auto& all = tensors();
  const auto found = std::find_if(all.begin(), all.end(), [&](const TensorInfo& info) { return info.name == name; });
  return found == all.end() ? nullptr : &*found;
}

const TensorInfo& TensorSource::require(std::string_view name) const {
  const TensorInfo* info = find(name);
  if (info == nullptr) fail(Code::bad_input, str(path().string(), ": ", name), "this tensor", "a file without it");
  return *info;
}

const TensorInfo& TensorSource::require(std::string_view name, at::IntArrayRef shape) const {
  const TensorInfo& info = require(name);
  if (at::IntArrayRef(info.shape) != shape)
    fail(Code::bad_input, str(path().string(), ": ", name), str("the shape ", shape_text({shape.data(), shape.size()})),
         shape_text(info.shape));
  return info;
}

at::Tensor TensorSource::read(std::string_view name) const {
  return read_as(name, type_read(require(name)));
}

at::Tensor TensorSource::read(std::string_view name, at::IntArrayRef shape, at::ScalarType dtype) const {
  const TensorInfo& info = require(name, shape);
  const std::string where = str(path().string(), ": ", name);
  if (at::isFloatingType(type_read(info)) != at::isFloatingType(dtype))
    fail(Code::bad_input, where, at::isFloatingType(dtype) ? "a floating-point type" : "a type of integers", info.type);
  at::Tensor values = read_as(name, dtype);
  // After the conversion, so that numbers too large for `dtype` are found as well.
  if (!all_finite(values))
    fail(Code::bad_input, where, str("finite numbers in ", at::toString(dtype)), "NaN, infinity or overflow");
  return values;
}

}  // namespace dept
