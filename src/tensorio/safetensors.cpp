#include <algorithm>
#include <cstring>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/tensorio/tensor_source.h"
#include "tensorio/safetensors_header.h"

namespace dept {
namespace {

constexpr uint64_t max_header_bytes = 100'000'000;  // the format's own limit

// Format: u64 header length (little-endian), header (JSON, may end in spaces), tensors' bytes.
class SafetensorsFile : public TensorSource {
 public:
  explicit SafetensorsFile(const fs::path& path) : map_(path) {
    const auto bytes = map_.bytes();
    const std::string where = path.string();
    uint64_t length = 0;
    if (bytes.size() < sizeof length) fail(Code::bad_input, where, "a safetensors file", str(bytes.size(), " bytes"));
    std::memcpy(&length, bytes.data(), sizeof length);
    const uint64_t rest = bytes.size() - sizeof length;
    if (length > std::min(rest, max_header_bytes))
      fail(Code::bad_input, where, str("a header of at most ", std::min(rest, max_header_bytes), " bytes"), str(length));
    const std::string_view header(reinterpret_cast<const char*>(bytes.data()) + sizeof length, length);
    data_ = bytes.subspan(sizeof length + length);
    for (SafetensorsEntry& entry : parse_safetensors_header(header, data_.size(), where)) {
      infos_.push_back({std::move(entry.name), std::string(entry.type->name), std::move(entry.shape), entry.end - entry.begin});
      begins_.push_back(entry.begin);
    }
  }

  const fs::path& path() const override { return map_.path(); }
  const std::vector<TensorInfo>& tensors() const override { return infos_; }
  void drop_pages() const override { map_.drop(0, map_.bytes().size()); }

  at::Tensor read_as(std::string_view name, at::ScalarType dtype) const override {
    const TensorInfo& info = require(name);
    const auto stored = data_.subspan(begins_[static_cast<size_t>(&info - infos_.data())], info.bytes);
    return copy_plain(stored, info.shape, *find_plain_type(info.type), dtype, str(path().string(), ": ", name));
  }

 private:
  MappedFile map_;
  std::span<const std::byte> data_;
  std::vector<TensorInfo> infos_;
  std::vector<uint64_t> begins_;
};

}  // namespace

std::unique_ptr<TensorSource> open_safetensors(const fs::path& path) {
  return std::make_unique<SafetensorsFile>(path);
}

}  // namespace dept
