// pytorch_model.bin as torch.save writes it: a zip archive with NAME/data.pkl, a pickle of names, shapes and strides, and the
// storages' bytes in NAME/data/KEY.
#include <algorithm>
#include <cstring>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/tensorio/tensor_source.h"
#include "tensorio/plain_types.h"
#include "tensorio/unpickler.h"
#include "tensorio/zip_records.h"

namespace dept {
namespace {

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Where a tensor's values lie in the file.
struct Place {
  std::span<const std::byte> bytes;  // from the first to the last element
  std::vector<int64_t> strides;
  at::ScalarType type;
};

class TorchFile : public TensorSource {
 public:
  explicit TorchFile(const fs::path& path) : map_(path) {
    const std::string where = path.string();
    if (!as_text(map_.bytes()).starts_with("PK"))
      fail(Code::bad_input, where, "a zip archive as torch.save has written since PyTorch 1.6",
           "another form: load it with torch.load(..., weights_only=True) in Python and save it with safetensors");
    const ZipRecords records = read_zip_records(map_.bytes(), where);
    const std::string folder = folder_of(records, where);
    const auto order = records.find(folder + "byteorder");
    if (order != records.end() && as_text(order->second) != "little")
      fail(Code::bad_input, where + ": byteorder", "little", quote(as_text(order->second)));
    const auto pickled = unpickle_tensors(as_text(records.at(folder + "data.pkl")), where + ": data.pkl");
    if (pickled.empty()) fail(Code::bad_input, where, "a dict of tensors", "one without tensors");
    for (const PickledTensor& tensor : pickled) add(tensor, records, folder);
  }

  const fs::path& path() const override { return map_.path(); }
  const std::vector<TensorInfo>& tensors() const override { return infos_; }
  void drop_pages() const override { map_.drop(0, map_.bytes().size()); }

  at::Tensor read_as(std::string_view name, at::ScalarType dtype) const override {
    const TensorInfo& info = require(name);
    const std::string where = str(path().string(), ": ", name);
    const Place& place = places_[static_cast<size_t>(&info - infos_.data())];
    const PlainType& type = *find_plain_type(place.type);
    if (place.bytes.empty()) return copy_plain({}, info.shape, type, dtype, where);  // its strides say nothing
    const auto span = static_cast<int64_t>(place.bytes.size() / type.bytes);
    return copy_plain(place.bytes, std::array{span}, type, dtype, where).as_strided(info.shape, place.strides).contiguous();
  }

 private:
  // "NAME/" of the one record NAME/data.pkl.
  static std::string folder_of(const ZipRecords& records, const std::string& where) {
    constexpr std::string_view pickle = "data.pkl";
    std::vector<std::string> folders;
    for (const auto& [name, bytes] : records)
      if (const size_t slash = name.find('/'); slash != name.npos && std::string_view(name).substr(slash + 1) == pickle)
        folders.push_back(name.substr(0, slash + 1));
    if (folders.size() != 1) fail(Code::bad_input, where, "a record data.pkl as torch.save writes it", str(folders.size()));
    return folders.front();
  }

  void add(const PickledTensor& tensor, const ZipRecords& records, const std::string& folder) {
    const std::string where = str(map_.path().string(), ": ", quote(tensor.name));
    const auto record = records.find(str(folder, "data/", tensor.storage));
    if (record == records.end()) fail(Code::bad_input, where, "its storage in the file", quote(tensor.storage));
    if (record->second.size() != tensor.storage_bytes)
      fail(Code::bad_input, where, str("a storage of ", tensor.storage_bytes, " bytes"), str(record->second.size()));
    const uint64_t width = find_plain_type(tensor.type)->bytes;
    const uint64_t elements = checked_elements(tensor, where), held = tensor.storage_bytes / width;
    const uint64_t extent = checked_extent(tensor, elements, where);
    const auto offset = static_cast<uint64_t>(tensor.offset);
    if (tensor.offset < 0 || offset > held || extent > held - offset)
      fail(Code::bad_input, where, str("a view inside its storage of ", held, " elements"),
           str("one of ", extent, " from element ", tensor.offset, " on"));
    infos_.push_back({tensor.name, std::string(find_plain_type(tensor.type)->name), tensor.shape, elements * width});
    places_.push_back({record->second.subspan(offset * width, extent * width), tensor.strides, tensor.type});
  }

  // A view that repeats elements could be made of any size from a few bytes.
  static uint64_t checked_elements(const PickledTensor& tensor, const std::string& where) {
    const bool negative = std::any_of(tensor.shape.begin(), tensor.shape.end(), [](int64_t size) { return size < 0; });
    const uint64_t held = tensor.storage_bytes / find_plain_type(tensor.type)->bytes;
    const uint64_t elements = negative ? held + 1 : element_count(tensor.shape).value_or(held + 1);
    if (elements > held)
      fail(Code::bad_input, where, str("at most the ", held, " elements of its storage"), shape_text(tensor.shape));
    return elements;
  }

  // Elements from the first to the last one.
  static uint64_t checked_extent(const PickledTensor& tensor, uint64_t elements, const std::string& where) {
    if (elements == 0) return 0;
    int64_t last = 0;
    for (size_t i = 0; i < tensor.shape.size(); ++i) {
      int64_t step = 0;
      if (tensor.strides[i] < 0 || __builtin_mul_overflow(tensor.shape[i] - 1, tensor.strides[i], &step) ||
          __builtin_add_overflow(last, step, &last))
        fail(Code::bad_input, where, "strides inside its storage", shape_text(tensor.strides));
    }
    return static_cast<uint64_t>(last) + 1;
  }

  MappedFile map_;
  std::vector<TensorInfo> infos_;
  std::vector<Place> places_;
};

}  // namespace

std::unique_ptr<TensorSource> open_torch_file(const fs::path& path) {
  return std::make_unique<TorchFile>(path);
}

}  // namespace dept
