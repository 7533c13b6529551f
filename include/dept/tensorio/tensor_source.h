// One view of every weight file: named tensors with shape and stored type, read as plain tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dept/base/file.h"
#include "dept/base/json.h"

namespace dept {

struct TensorInfo {
  std::string name;
  std::string type;            ///< the file's own name of its type: F32, BF16, I64, Q4_1, ...
  std::vector<int64_t> shape;  ///< torch's order
  uint64_t bytes = 0;          ///< stored
};

class TensorSource {
 public:
  virtual ~TensorSource() = default;
  virtual const fs::path& path() const = 0;
  /// In file order (shards one after the other).
  virtual const std::vector<TensorInfo>& tensors() const = 0;
  const TensorInfo* find(std::string_view name) const;
  /// Throws bad_input when there is no tensor `name`, or not of this shape.
  const TensorInfo& require(std::string_view name) const;
  const TensorInfo& require(std::string_view name, at::IntArrayRef shape) const;

  /// A contiguous CPU tensor of its own memory, converted to `dtype` piece by piece. Throws bad_input as require() does.
  virtual at::Tensor read_as(std::string_view name, at::ScalarType dtype) const = 0;
  /// Plain types as stored, block-quantised ones as fp32.
  at::Tensor read(std::string_view name) const;
  /// read_as() after checking the shape; refuses NaN and infinity. Throws bad_input naming file and tensor.
  at::Tensor read(std::string_view name, at::IntArrayRef shape, at::ScalarType dtype) const;

  /// Lets the kernel take back the file's pages.
  virtual void drop_pages() const = 0;
};

/// A .safetensors file. Throws io when there is none, bad_input unless header and data agree in every byte.
std::unique_ptr<TensorSource> open_safetensors(const fs::path& path);

/// What torch.save writes of a dict of tensors (pytorch_model.bin, adapter_model.bin). Nothing of it is run: a pickle that asks
/// for anything but tensors and containers is refused by name, as are compressed archives and views that reach outside their
/// storage. Throws io or bad_input.
std::unique_ptr<TensorSource> open_torch_file(const fs::path& path);

/// The weights of a model's folder: model.safetensors, its index, pytorch_model.bin or its index, the first that is there; or of
/// one file of either kind. Throws io when there is none, bad_input.
std::unique_ptr<TensorSource> open_weights(const fs::path& path);

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

/// Writes atomically and always the same bytes: tensors of any shape and plain type, wide element types first (so that each is
/// aligned) and in the given order among equals; "__metadata__" when not empty. Throws io; bug for a name twice or not in UTF-8.
void save_safetensors(const fs::path& path, const NamedTensors& tensors,
                      const std::vector<std::pair<std::string, std::string>>& metadata = {});

/// Writes what torch.load(weights_only=True) reads as a dict of tensors, atomically and always the same bytes: floating-point
/// tensors and int64. Throws io; bug for another type.
void save_torch_file(const fs::path& path, const NamedTensors& tensors);

}  // namespace dept
