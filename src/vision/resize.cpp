#include <algorithm>
#include <cmath>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "vision/decoders.h"

namespace dept {
namespace {

// Pillow's arithmetic (src/libImaging/Resample.c): weights in double, normalised, rounded to 22 bits behind the point; sums of
// weight times byte in 32 bits from a half, cut to 0..255.
constexpr int weight_bits = 22;
constexpr double bicubic_reach = 2;

double bicubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

// What one pixel of the result is made of: pixels first, first + 1, .. of the source.
struct Taps {
  int64_t first = 0;
  std::vector<int32_t> weights;
};

int32_t fixed_point(double weight) {
  return static_cast<int32_t>((weight < 0 ? -0.5 : 0.5) + weight * (1 << weight_bits));
}

std::vector<Taps> make_taps(int64_t from, int64_t to) {
  const double scale = static_cast<double>(from) / static_cast<double>(to), stretch = std::max(scale, 1.0);
  const double reach = bicubic_reach * stretch;
  std::vector<Taps> taps(static_cast<size_t>(to));
  std::vector<double> weights;
  for (int64_t i = 0; i < to; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * scale;
    const int64_t first = std::max<int64_t>(static_cast<int64_t>(centre - reach + 0.5), 0);
    const int64_t end = std::min(static_cast<int64_t>(centre + reach + 0.5), from);
    double sum = 0;
    weights.clear();
    for (int64_t x = first; x < end; ++x) {
      weights.push_back(bicubic((static_cast<double>(x) - centre + 0.5) * (1 / stretch)));
      sum += weights.back();
    }
    Taps& made = taps[static_cast<size_t>(i)];
    made.first = first;
    for (const double weight : weights) made.weights.push_back(fixed_point(sum != 0 ? weight / sum : weight));
  }
  return taps;
}

uint8_t rounded_byte(int32_t sum) {
  return static_cast<uint8_t>(std::clamp(sum >> weight_bits, 0, 255));
}

// One pixel of three colours from those that stand `stride` bytes apart.
void mix(const Taps& taps, const uint8_t* first, int64_t stride, uint8_t* out) {
  int32_t sums[3] = {1 << (weight_bits - 1), 1 << (weight_bits - 1), 1 << (weight_bits - 1)};
  for (const int32_t weight : taps.weights) {
    for (int c = 0; c < 3; ++c) sums[c] += weight * first[c];
    first += stride;
  }
  for (int c = 0; c < 3; ++c) out[c] = rounded_byte(sums[c]);
}

Image with_width(const Image& image, int64_t width) {
  Image out{image.height, width, std::vector<uint8_t>(static_cast<size_t>(3 * image.height * width))};
  const std::vector<Taps> taps = make_taps(image.width, width);
  for (int64_t y = 0; y < image.height; ++y)
    for (int64_t x = 0; x < width; ++x) {
      const Taps& here = taps[static_cast<size_t>(x)];
      mix(here, image.rgb.data() + 3 * (y * image.width + here.first), 3, out.rgb.data() + 3 * (y * width + x));
    }
  return out;
}

Image with_height(const Image& image, int64_t height) {
  Image out{height, image.width, std::vector<uint8_t>(static_cast<size_t>(3 * height * image.width))};
  const std::vector<Taps> taps = make_taps(image.height, height);
  const int64_t stride = 3 * image.width;
  for (int64_t y = 0; y < height; ++y) {
    const Taps& here = taps[static_cast<size_t>(y)];
    for (int64_t x = 0; x < image.width; ++x)
      mix(here, image.rgb.data() + here.first * stride + 3 * x, stride, out.rgb.data() + y * stride + 3 * x);
  }
  return out;
}

void check_whole(const Image& image) {
  check_image_size(image.height, image.width, "image");
  if (static_cast<int64_t>(image.rgb.size()) != 3 * image.height * image.width)
    fail(Code::bug, "image", str(3 * image.height * image.width, " bytes"), str(image.rgb.size()));
}

}  // namespace

Image resize_bicubic(const Image& image, int64_t height, int64_t width) {
  check_whole(image);
  check_image_size(height, width, "a resized image");
  if (image.height == height) return image.width == width ? image : with_width(image, width);
  if (image.width == width) return with_height(image, height);
  const bool height_first = height < image.height && width > image.width;  // as Pillow does from version 13 on
  return height_first ? with_width(with_height(image, height), width) : with_height(with_width(image, width), height);
}

Image centre_crop(const Image& image, int64_t height, int64_t width) {
  check_whole(image);
  check_image_size(height, width, "a cropped image");
  Image out{height, width, std::vector<uint8_t>(static_cast<size_t>(3 * height * width))};
  // Where the result's first pixel stands in the image; before it where the image is smaller.
  const int64_t top = (image.height - height) / 2, left = (image.width - width) / 2;
  const int64_t from = std::max<int64_t>(left, 0), end = std::min(left + width, image.width);
  for (int64_t y = std::max<int64_t>(top, 0); y < std::min(top + height, image.height); ++y)
    std::copy_n(image.rgb.begin() + 3 * (y * image.width + from), 3 * (end - from),
                out.rgb.begin() + 3 * ((y - top) * width + from - left));
  return out;
}

}  // namespace dept
