#include <ATen/ops/empty.h>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/vision/image.h"
#include "dept/vision/visual_source.h"

namespace dept {
namespace {

class Patches : public VisualSource {
 public:
  explicit Patches(const PatchOptions& options) : options_(options) {}

  int64_t channels() const override { return 3 * options_.size * options_.size; }
  int64_t tokens() const override { return options_.height * options_.width / (options_.size * options_.size); }

  at::Tensor read(const std::string& path) const override {
    Image image = read_image(path);
    if (options_.height > 0) image = resize_bicubic(image, options_.height, options_.width);
    if (image.height % options_.size != 0 || image.width % options_.size != 0)
      fail(Code::bad_input, path, str("an image whose sides are multiples of the patches' ", options_.size),
           str(image.height, " x ", image.width, " (height x width)"));
    return cut(image);
  }

 private:
  at::Tensor cut(const Image& image) const {
    const int64_t size = options_.size, down = image.height / size, across = image.width / size;
    at::Tensor tokens = at::empty({down * across, channels()}, at::kFloat);
    float* to = tokens.mutable_data_ptr<float>();
    for (int64_t row = 0; row < down; ++row)
      for (int64_t column = 0; column < across; ++column)
        for (int64_t y = 0; y < size; ++y) {
          const uint8_t* from = image.rgb.data() + 3 * ((row * size + y) * image.width + column * size);
          for (int64_t i = 0; i < 3 * size; ++i) *to++ = static_cast<float>(from[i]) / 255 - 0.5f;
        }
    return tokens;
  }

  PatchOptions options_;
};

}  // namespace

std::unique_ptr<VisualSource> patches(const PatchOptions& options) {
  const auto [size, height, width] = options;
  const auto bad_side = [&](int64_t side) { return side < 0 || side > max_image_side || side % size != 0; };
  if (size < 1 || size > max_image_side || bad_side(height) || bad_side(width) || (height == 0) != (width == 0))
    fail(Code::usage, "patches",
         str("a size that divides height and width, all of 1 to ", max_image_side, ", or no height and width"),
         str("size ", size, ", height ", height, ", width ", width));
  if (height * width > max_image_pixels)
    fail(Code::usage, "patches", str("at most ", max_image_pixels, " pixels"), str(height, " x ", width));
  return std::make_unique<Patches>(options);
}

}  // namespace dept
