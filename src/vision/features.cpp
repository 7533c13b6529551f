#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/tensorio/hdf5.h"
#include "dept/tensorio/tensor_source.h"
#include "dept/vision/visual_source.h"

namespace dept {
namespace {

using at::Tensor;

constexpr std::string_view features_suffix = "/features";

/// Where features come from: a row of shape [cells, channels] for each image.
class FeatureStore {
 public:
  virtual ~FeatureStore() = default;
  /// An image that the file has features of. Throws bad_input where it has none.
  virtual std::string first_image() const = 0;
  /// fp32 [cells, channels], contiguous. Throws bad_input for an image without features or of another shape than two sizes.
  virtual Tensor read(const std::string& image) const = 0;
};

[[noreturn]] void fail_without(const fs::path& path, const std::string& image) {
  fail(Code::bad_input, path.string(), str("features of the image ", quote(image)), "none");
}

void check_two_sizes(at::IntArrayRef shape, const std::string& where) {
  if (shape.size() != 2 || shape[0] < 1 || shape[1] < 1)
    fail(Code::bad_input, where, "features of the shape [cells, channels]", dept::str(shape));
}

class Hdf5Features : public FeatureStore {
 public:
  explicit Hdf5Features(const fs::path& path) : file_(path) {}

  std::string first_image() const override {
    const auto name = file_.first_name();
    if (!name) fail(Code::bad_input, file_.path().string(), "features of images", "an empty file");
    return *name;
  }

  Tensor read(const std::string& image) const override {
    const auto data = file_.find(str(image, features_suffix));
    if (!data) fail_without(file_.path(), image);
    check_two_sizes(data->shape, str(file_.path().string(), ": ", quote(image)));
    Tensor stored = at::empty(data->shape, data->type);  // the file's bytes may stand at any address
    std::copy(data->bytes.begin(), data->bytes.end(), static_cast<std::byte*>(stored.mutable_data_ptr()));
    return stored.to(at::kFloat);
  }

 private:
  Hdf5File file_;
};

class SafetensorsFeatures : public FeatureStore {
 public:
  explicit SafetensorsFeatures(const fs::path& path) : file_(open_safetensors(path)) {
    for (const TensorInfo& info : file_->tensors()) {
      std::string_view image = info.name;
      if (image.ends_with(features_suffix)) image.remove_suffix(features_suffix.size());
      if (!places_.emplace(image, &info).second)
        fail(Code::bad_input, path.string(), "the features of each image once", str(quote(image), " twice"));
    }
  }

  std::string first_image() const override {
    if (places_.empty()) fail(Code::bad_input, file_->path().string(), "features of images", "an empty file");
    std::string_view name = file_->tensors().front().name;
    if (name.ends_with(features_suffix)) name.remove_suffix(features_suffix.size());
    return std::string(name);
  }

  Tensor read(const std::string& image) const override {
    const auto place = places_.find(image);
    if (place == places_.end()) fail_without(file_->path(), image);
    const TensorInfo& info = *place->second;
    const std::string where = str(file_->path().string(), ": ", quote(image));
    check_two_sizes(info.shape, where);
    if (info.type != "F32" && info.type != "F16" && info.type != "BF16" && info.type != "F64")
      fail(Code::bad_input, where, "features of a floating-point type", info.type);
    return file_->read_as(info.name, at::kFloat);
  }

 private:
  std::unique_ptr<TensorSource> file_;
  std::unordered_map<std::string, const TensorInfo*> places_;
};

std::unique_ptr<FeatureStore> open_features(const fs::path& path) {
  const std::string kind = path.extension().string();
  if (kind == ".h5" || kind == ".hdf5") return std::make_unique<Hdf5Features>(path);
  if (kind == ".safetensors") return std::make_unique<SafetensorsFeatures>(path);
  fail(Code::bad_input, path.string(), "a feature file, .h5, .hdf5 or .safetensors", quote(kind));
}

int64_t side_of_square(int64_t cells) {
  const auto side = static_cast<int64_t>(std::llround(std::sqrt(static_cast<double>(cells))));
  return side * side == cells ? side : 0;
}

// What an output cell of AdaptiveMaxPool2d looks at, on one side.
struct PoolWindow {
  int64_t begin, end;
};
PoolWindow pool_window(int64_t i, int64_t from, int64_t to) {
  return {i * from / to, ((i + 1) * from + to - 1) / to};
}

class FeatureFile : public VisualSource {
 public:
  FeatureFile(const fs::path& path, int64_t grid) : where_(path.string()), store_(open_features(path)), grid_(grid) {
    const Tensor first = store_->read(store_->first_image());
    cells_ = first.size(0);
    channels_ = first.size(1);
    side_ = side_of_square(cells_);
    if (grid > 0 && side_ < grid)
      fail(Code::bad_input, where_, str("a square of at least ", grid, " x ", grid, " cells, to be pooled"),
           str(cells_, " cells"));
  }

  int64_t channels() const override { return channels_; }
  int64_t tokens() const override { return grid_ > 0 ? grid_ * grid_ : cells_; }

  Tensor read(const std::string& image) const override {
    const Tensor features = store_->read(image);
    if (features.size(0) != cells_ || features.size(1) != channels_)
      fail(Code::bad_input, str(where_, ": ", quote(image)),
           str("features of the shape [", cells_, ", ", channels_, "], as the first"), dept::str(features.sizes()));
    if (!features.isfinite().all().item<bool>())
      fail(Code::bad_input, str(where_, ": ", quote(image)), "finite numbers", "NaN or infinity");
    return grid_ > 0 && grid_ != side_ ? pooled(features) : features;
  }

 private:
  Tensor pooled(const Tensor& features) const {
    Tensor out = at::empty({grid_ * grid_, channels_}, at::kFloat);
    for (int64_t row = 0; row < grid_; ++row)
      for (int64_t column = 0; column < grid_; ++column)
        put_largest(features.const_data_ptr<float>(), pool_window(row, side_, grid_), pool_window(column, side_, grid_),
                    out.mutable_data_ptr<float>() + (row * grid_ + column) * channels_);
    return out;
  }

  void put_largest(const float* features, PoolWindow rows, PoolWindow columns, float* out) const {
    std::copy_n(features + (rows.begin * side_ + columns.begin) * channels_, channels_, out);
    for (int64_t y = rows.begin; y < rows.end; ++y)
      for (int64_t x = columns.begin; x < columns.end; ++x) {
        const float* cell = features + (y * side_ + x) * channels_;
        for (int64_t c = 0; c < channels_; ++c) out[c] = std::max(out[c], cell[c]);
      }
  }

  std::string where_;
  std::unique_ptr<FeatureStore> store_;
  int64_t grid_, cells_ = 0, channels_ = 0, side_ = 0;
};

}  // namespace

std::unique_ptr<VisualSource> feature_file(const fs::path& path, int64_t grid) {
  constexpr int64_t widest_grid = 1024;
  if (grid < 0 || grid > widest_grid) fail(Code::usage, "feature_file", str("a grid of 0 to ", widest_grid), str(grid));
  return std::make_unique<FeatureFile>(path, grid);
}

}  // namespace dept
