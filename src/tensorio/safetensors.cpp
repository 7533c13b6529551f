#include <algorithm>
#include <cstring>
#include <map>
#include <set>

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

  at::Tensor read(std::string_view name) const override {
    const TensorInfo* info = find(name);
    const std::string where = str(path().string(), ": ", name);
    if (info == nullptr) fail(Code::bad_input, where, "this tensor", "a file without it");
    const auto stored = data_.subspan(begins_[static_cast<size_t>(info - infos_.data())], info->bytes);
    return copy_plain(stored, info->shape, find_plain_type(info->type)->scalar, where);
  }

 private:
  MappedFile map_;
  std::span<const std::byte> data_;
  std::vector<TensorInfo> infos_;
  std::vector<uint64_t> begins_;
};

// A model in several files; model.safetensors.index.json says which tensor is where.
class ShardedSafetensors : public TensorSource {
 public:
  explicit ShardedSafetensors(const fs::path& index) : index_(index) {
    const std::map<std::string, std::set<std::string>> promised = read_index();
    for (const auto& [file, names] : promised) {
      const SafetensorsFile& shard = *shards_.emplace_back(std::make_unique<SafetensorsFile>(index.parent_path() / file));
      for (const std::string& name : names)
        if (shard.find(name) == nullptr)
          fail(Code::bad_input, shard.path().string(), str("the tensor ", quote(name), " as the index says"),
               "a file without it");
      for (const TensorInfo& info : shard.tensors()) {
        if (!owner_.emplace(info.name, &shard).second)
          fail(Code::bad_input, shard.path().string(), "tensors that no other shard holds", quote(info.name));
        infos_.push_back(info);
      }
    }
  }

  const fs::path& path() const override { return index_; }
  const std::vector<TensorInfo>& tensors() const override { return infos_; }
  void drop_pages() const override {
    for (const auto& shard : shards_) shard->drop_pages();
  }

  at::Tensor read(std::string_view name) const override {
    const auto found = owner_.find(name);
    if (found == owner_.end()) fail(Code::bad_input, str(index_.string(), ": ", name), "this tensor", "shards without it");
    return found->second->read(name);
  }

 private:
  // File name -> names of its tensors. Only plain names in the same folder are taken.
  std::map<std::string, std::set<std::string>> read_index() const {
    const std::string where = index_.string();
    const Json json = read_json(index_, max_header_bytes);
    const auto weights = json.is_object() ? json.find("weight_map") : json.end();
    if (weights == json.end() || !weights->is_object() || weights->empty())
      fail(Code::bad_input, where, "an object \"weight_map\" of tensors and files", "none");
    std::map<std::string, std::set<std::string>> promised;
    for (const auto& [name, file] : weights->items()) {
      const std::string key = str(where, ": ", quote(name));
      if (!file.is_string()) fail(Code::bad_input, key, "a file name", file.type_name());
      const auto& text = file.get_ref<const std::string&>();
      if (text.empty() || text.find('/') != text.npos || text.find("..") != text.npos || text.find('\0') != text.npos)
        fail(Code::bad_input, key, "the name of a file in the same folder", quote(text));
      promised[text].insert(name);
    }
    return promised;
  }

  fs::path index_;
  std::vector<std::unique_ptr<SafetensorsFile>> shards_;
  std::map<std::string, const SafetensorsFile*, std::less<>> owner_;
  std::vector<TensorInfo> infos_;
};

}  // namespace

std::unique_ptr<TensorSource> open_safetensors(const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return std::make_unique<SafetensorsFile>(path);
  if (fs::exists(path / "model.safetensors", error)) return std::make_unique<SafetensorsFile>(path / "model.safetensors");
  if (fs::exists(path / "model.safetensors.index.json", error))
    return std::make_unique<ShardedSafetensors>(path / "model.safetensors.index.json");
  if (fs::exists(path / "adapter_model.safetensors", error))
    return std::make_unique<SafetensorsFile>(path / "adapter_model.safetensors");
  fail(Code::io, path.string(), "model.safetensors, model.safetensors.index.json or adapter_model.safetensors in this folder",
       "none of them");
}

}  // namespace dept
