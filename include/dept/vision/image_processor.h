// From a picture to the numbers that a vision model reads, by the model's preprocessor_config.json.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <optional>

#include "dept/base/json.h"
#include "dept/vision/image.h"

namespace dept {

/// What transformers' CLIPImageProcessor does (over Pillow): resize, crop the middle, scale and normalise, each where it is asked
/// for.
struct ImageProcessor {
  struct Size {
    int64_t height = 0, width = 0;  ///< both 0: by the shortest edge
    int64_t shortest_edge = 0;
  };
  std::optional<Size> resize = Size{0, 0, 224};
  std::optional<Size> crop = Size{224, 224, 0};
  double scale = 1.0 / 255;                                 ///< 1: the bytes as they are
  std::array<double, 3> mean{0, 0, 0}, deviation{1, 1, 1};  ///< of red, green and blue, after the scale

  /// The size that a picture of this size has after the resize and the crop.
  Size result(int64_t height, int64_t width) const;
  /// fp32 [3, H, W] on the CPU: (scale * x - mean) / deviation. Throws bad_input for a picture that would become larger than
  /// max_image_pixels.
  at::Tensor operator()(const Image& image) const;

 private:
  Size resized(int64_t height, int64_t width) const;
};

/// Reads preprocessor_config.json (or the image_processor of processor_config.json). Fields that are absent have CLIP's own
/// defaults. Throws bad_input, naming the field, for another kind of processor, another filter than bicubic, and what else would
/// change the result.
ImageProcessor read_image_processor(const Json& config, std::string_view where);
/// The same from a model's folder. Throws io when it has no such file.
ImageProcessor read_image_processor(const fs::path& folder);

}  // namespace dept
