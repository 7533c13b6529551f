#include <fstream>
#include <map>
#include <set>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/tensorio/tensor_source.h"

namespace dept {
namespace {

constexpr uint64_t max_index_bytes = 100'000'000;

using Open = std::unique_ptr<TensorSource> (*)(const fs::path&);

// A model in several files; the index says which tensor is where.
class ShardedWeights : public TensorSource {
 public:
  ShardedWeights(const fs::path& index, Open open) : index_(index) {
    const std::map<std::string, std::set<std::string>> promised = read_index();
    for (const auto& [file, names] : promised) {
      const TensorSource& shard = *shards_.emplace_back(open(index.parent_path() / file));
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

  at::Tensor read_as(std::string_view name, at::ScalarType dtype) const override {
    const auto found = owner_.find(name);
    if (found == owner_.end()) fail(Code::bad_input, str(index_.string(), ": ", name), "this tensor", "shards without it");
    return found->second->read_as(name, dtype);
  }

 private:
  // File name -> names of its tensors. Only plain names in the same folder are taken.
  std::map<std::string, std::set<std::string>> read_index() const {
    const std::string where = index_.string();
    const Json json = read_json(index_, max_index_bytes);
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
  std::vector<std::unique_ptr<TensorSource>> shards_;
  std::map<std::string, const TensorSource*, std::less<>> owner_;
  std::vector<TensorInfo> infos_;
};

struct Form {
  const char* file;
  Open open;
};
constexpr Form forms[] = {{"model.safetensors", open_safetensors}, {"pytorch_model.bin", open_torch_file}};

// A zip archive and a pickle are torch's, whatever the file is called.
bool is_torch_file(const fs::path& path) {
  char front[2] = {};
  std::ifstream(path, std::ios::binary).read(front, sizeof front);
  return std::string_view(front, 2) == "PK" || path.extension() == ".bin" || path.extension() == ".pt";
}

}  // namespace

std::unique_ptr<TensorSource> open_weights(const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return is_torch_file(path) ? open_torch_file(path) : open_safetensors(path);
  for (const auto& [file, open] : forms) {
    const fs::path whole = path / file, index = path / str(file, ".index.json");
    if (fs::exists(whole, error)) return open(whole);
    if (fs::exists(index, error)) return std::make_unique<ShardedWeights>(index, open);
  }
  fail(Code::io, path.string(), "model.safetensors or pytorch_model.bin, or the index of one, in this folder", "none of them");
}

}  // namespace dept
