// Pictures against Pillow and transformers' CLIPImageProcessor (make/vision.py).
#include <ATen/TensorOperators.h>

#include "dept/base/json.h"
#include "dept/base/text.h"
#include "dept/vision/image_processor.h"
#include "parity/vision/support.h"

namespace dept::parity {
namespace {

TEST(Images, EqualPillows) {
  const auto golden = open_safetensors(vision_data("images.golden.safetensors"));
  ASSERT_GE(golden->tensors().size(), 22u);
  for (const TensorInfo& info : golden->tensors())
    EXPECT_EQ(largest_difference(read_image(vision_data("images") / info.name), golden->read(info.name)), 0) << info.name;
}

TEST(Images, ResizedEqualPillows) {
  const auto golden = open_safetensors(vision_data("resize.golden.safetensors"));
  ASSERT_GE(golden->tensors().size(), 10u);
  const Image smooth = read_image(vision_data("images/rgb.png")), sharp = read_image(vision_data("images/sharp.png"));
  for (const TensorInfo& info : golden->tensors()) {
    const Image& source = info.name.starts_with("sharp") ? sharp : smooth;
    EXPECT_EQ(largest_difference(resize_bicubic(source, info.shape[0], info.shape[1]), golden->read(info.name)), 0) << info.name;
  }
}

TEST(ImageProcessors, EqualTransformers) {
  const Json configs = read_json(vision_data("processors.json"));
  const auto golden = open_safetensors(vision_data("processors.golden.safetensors"));
  ASSERT_GE(golden->tensors().size(), 32u);
  for (const TensorInfo& info : golden->tensors()) {
    const size_t space = info.name.find(' '), last = info.name.rfind(' ');
    const ImageProcessor processor = read_image_processor(configs[std::stoul(info.name.substr(0, space))], "processors.json");
    const at::Tensor values = processor(read_image(vision_data("images") / info.name.substr(space + 1, last - space - 1)));
    const at::Tensor expected = golden->read(info.name);
    ASSERT_EQ(values.sizes(), expected.sizes()) << info.name;
    // torchvision rounds its filter's weights to fewer bits: a step of one of 255. Of Pillow's, fp32's rounding alone.
    const double step = processor.scale / *std::min_element(processor.deviation.begin(), processor.deviation.end());
    const double allowed = info.name.ends_with("torchvision") ? 1.001 * step : 1e-5 * std::max(1.0, 255 * step);
    EXPECT_LE((values - expected).abs().max().item<double>(), allowed) << info.name;
  }
}

}  // namespace
}  // namespace dept::parity
