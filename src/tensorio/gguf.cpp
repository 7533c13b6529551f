#include "dept/tensorio/gguf.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "tensorio/gguf_header.h"
#include "tensorio/gguf_shards.h"
#include "tensorio/parallel.h"
#include "tensorio/plain_types.h"

namespace dept {
namespace {

class MappedGguf : public GgufFile {
 public:
  explicit MappedGguf(const fs::path& path)
      : map_(std::make_shared<MappedFile>(path)), header_(parse_gguf_header(map_->bytes(), path.string())) {
    for (const GgufEntry& entry : header_.entries)
      infos_.push_back({entry.name, std::string(entry.type->name), entry.shape, entry.bytes});
  }

  const fs::path& path() const override { return map_->path(); }
  const std::vector<TensorInfo>& tensors() const override { return infos_; }
  const std::map<std::string, GgufValue, std::less<>>& metadata() const override { return header_.metadata; }
  void drop_pages() const override { map_->drop(0, map_->bytes().size()); }

  at::Tensor read_as(std::string_view name, at::ScalarType dtype) const override {
    const GgufEntry& entry = entry_of(require(name));
    const auto stored = map_->bytes().subspan(entry.begin, entry.bytes);
    if (!entry.type->plain) return dequantised(entry, stored).to(dtype);
    return copy_plain(stored, entry.shape, *find_plain_type(*entry.type->plain), dtype, str(path().string(), ": ", name));
  }

  GgufBlocks blocks(std::string_view name, at::IntArrayRef shape) const override {
    const GgufEntry& entry = entry_of(require(name, shape));
    if (entry.type->plain) return {};
    const auto stored = map_->bytes().subspan(entry.begin, entry.bytes);
    const auto columns = static_cast<uint64_t>(shape.empty() ? 1 : shape.back());
    const auto row = static_cast<int64_t>(columns / entry.type->block_values * entry.type->block_bytes);
    if (!finite_scales(*entry.type, stored))
      fail(Code::bad_input, str(path().string(), ": ", name), "finite scales of its blocks", "NaN or infinity");
    return {entry.type, at::from_blob(
                            const_cast<std::byte*>(stored.data()), {row == 0 ? 0 : ssize(stored) / row, row},
                            [map = map_](void*) {}, at::TensorOptions(at::kByte))};
  }

 private:
  const GgufEntry& entry_of(const TensorInfo& info) const { return header_.entries[static_cast<size_t>(&info - infos_.data())]; }

  static bool finite_scales(const GgmlType& type, std::span<const std::byte> stored) {
    constexpr uint16_t exponent = 0x7C00;
    for (const std::byte* block = stored.data(); block < stored.data() + stored.size(); block += type.block_bytes) {
      for (const size_t offset : type.scales) {
        uint16_t scale;
        std::memcpy(&scale, block + offset, sizeof scale);
        if ((scale & exponent) == exponent) return false;
      }
    }
    return true;
  }

  static at::Tensor dequantised(const GgufEntry& entry, std::span<const std::byte> stored) {
    const GgmlType& type = *entry.type;
    at::Tensor tensor = at::empty(entry.shape, at::TensorOptions(at::kFloat));
    auto* out = tensor.mutable_data_ptr<float>();
    const size_t grain = (size_t{1} << 20) / type.block_values;  // a thread is worth its start from about a million values
    parallel_ranges(stored.size() / type.block_bytes, grain, [&](size_t begin, size_t end) {
      type.dequantise(stored.data() + begin * type.block_bytes, out + begin * type.block_values, end - begin);
    });
    return tensor;
  }

  std::shared_ptr<const MappedFile> map_;
  GgufHeader header_;
  std::vector<TensorInfo> infos_;
};

std::unique_ptr<GgufFile> open_one(const fs::path& path) {
  return std::make_unique<MappedGguf>(path);
}

void check_finite(double value, const std::string& where) {
  if (!std::isfinite(value)) fail(Code::bad_input, where, "a finite number", str(value));
}

template <class T>
const T& typed(const GgufFile& file, std::string_view key, std::string_view kind) {
  const auto found = file.metadata().find(key);
  const std::string where = str(file.path().string(), ": ", key);
  if (found == file.metadata().end()) fail(Code::bad_input, where, kind, "no such key");
  const T* value = std::get_if<T>(&found->second);
  if (value == nullptr) fail(Code::bad_input, where, kind, "another kind of value");
  return *value;
}

}  // namespace

int64_t GgufFile::integer(std::string_view key) const {
  return typed<int64_t>(*this, key, "an integer");
}
double GgufFile::number(std::string_view key) const {
  const auto found = metadata().find(key);
  if (found == metadata().end()) return typed<double>(*this, key, "a number");
  const auto* whole = std::get_if<int64_t>(&found->second);
  const double value = whole != nullptr ? static_cast<double>(*whole) : typed<double>(*this, key, "a number");
  check_finite(value, str(path().string(), ": ", key));
  return value;
}
const std::string& GgufFile::string(std::string_view key) const {
  return typed<std::string>(*this, key, "a string");
}
const std::vector<std::string>& GgufFile::strings(std::string_view key) const {
  return typed<std::vector<std::string>>(*this, key, "a list of strings");
}
const std::vector<int64_t>& GgufFile::integers(std::string_view key) const {
  return typed<std::vector<int64_t>>(*this, key, "a list of integers");
}
const std::vector<double>& GgufFile::numbers(std::string_view key) const {
  const auto& list = typed<std::vector<double>>(*this, key, "a list of numbers");
  for (size_t i = 0; i < list.size(); ++i)
    if (!std::isfinite(list[i])) check_finite(list[i], str(path().string(), ": ", key, "[", i, "]"));
  return list;
}

std::unique_ptr<GgufFile> open_gguf(const fs::path& path) {
  std::unique_ptr<GgufFile> file = open_one(path);
  return file->has("split.count") && file->integer("split.count") > 1 ? join_gguf_shards(*file, open_one) : std::move(file);
}

}  // namespace dept
