#include "tensorio/gguf_shards.h"

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {
namespace {

constexpr int64_t max_shards = 99999;  // what five digits name

std::string five_digits(int64_t number) {
  std::string digits = str(number);
  return std::string(5 - std::min<size_t>(5, digits.size()), '0') + digits;
}

std::string ending(int64_t index, int64_t count) {
  return str("-", five_digits(index + 1), "-of-", five_digits(count), ".gguf");
}

class GgufShards final : public GgufFile {
 public:
  GgufShards(const GgufFile& given, std::unique_ptr<GgufFile> (*open)(const fs::path&)) {
    const std::string where = given.path().string();
    const int64_t count = given.integer("split.count"), index = given.integer("split.no");
    if (count > max_shards) fail(Code::bad_input, where + ": split.count", str("at most ", max_shards), str(count));
    if (index < 0 || index >= count) fail(Code::bad_input, where + ": split.no", str("0 to ", count - 1), str(index));
    if (!where.ends_with(ending(index, count)))
      fail(Code::bad_input, where, str("a name that ends in ", ending(index, count), ", as split.no and split.count say"),
           quote(given.path().filename().string()));
    const std::string stem = where.substr(0, where.size() - ending(index, count).size());
    for (int64_t i = 0; i < count; ++i) add(stem + ending(i, count), i, count, open);
    if (has("split.tensors.count") && integer("split.tensors.count") != std::ssize(infos_))
      fail(Code::bad_input, path().string() + ": split.tensors.count", str(infos_.size(), ", the tensors of all shards"),
           str(integer("split.tensors.count")));
  }

  const fs::path& path() const override { return shards_.front()->path(); }
  const std::vector<TensorInfo>& tensors() const override { return infos_; }
  const std::map<std::string, GgufValue, std::less<>>& metadata() const override { return shards_.front()->metadata(); }
  void drop_pages() const override {
    for (const auto& shard : shards_) shard->drop_pages();
  }
  at::Tensor read_as(std::string_view name, at::ScalarType dtype) const override { return owner_of(name).read_as(name, dtype); }
  GgufBlocks blocks(std::string_view name, at::IntArrayRef shape) const override { return owner_of(name).blocks(name, shape); }

 private:
  const GgufFile& owner_of(std::string_view name) const {
    require(name);
    return *owner_.find(name)->second;
  }

  void add(const fs::path& path, int64_t index, int64_t count, std::unique_ptr<GgufFile> (*open)(const fs::path&)) {
    if (!fs::exists(path)) fail(Code::io, path.string(), str("shard ", index + 1, " of the model's ", count), "no such file");
    const GgufFile& shard = *shards_.emplace_back(open(path));
    for (const auto& [key, expected] : {std::pair{"split.no", index}, {"split.count", count}})
      if (shard.integer(key) != expected)
        fail(Code::bad_input, str(path.string(), ": ", key), str(expected), str(shard.integer(key)));
    for (const auto& [key, value] : shard.metadata()) {
      if (key.starts_with("split.") || key.starts_with("general.")) continue;
      const auto first = metadata().find(key);
      if (first == metadata().end() || first->second != value)
        fail(Code::bad_input, str(path.string(), ": ", key), "the value of the first shard", "another");
    }
    for (const TensorInfo& info : shard.tensors()) {
      if (!owner_.emplace(info.name, &shard).second)
        fail(Code::bad_input, path.string(), "tensors that no other shard holds", quote(info.name));
      infos_.push_back(info);
    }
  }

  std::vector<std::unique_ptr<GgufFile>> shards_;
  std::map<std::string, const GgufFile*, std::less<>> owner_;
  std::vector<TensorInfo> infos_;
};

}  // namespace

std::unique_ptr<GgufFile> join_gguf_shards(const GgufFile& given, std::unique_ptr<GgufFile> (*open)(const fs::path&)) {
  return std::make_unique<GgufShards>(given, open);
}

}  // namespace dept
