// What the tests of images share: where the golden files lie.
#pragma once

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "dept/tensorio/tensor_source.h"
#include "dept/vision/image.h"

namespace dept::parity {

inline fs::path vision_data(const std::string& name) {
  return fs::path(DEPT_TEST_DATA) / "parity/data/vision" / name;
}

/// The largest difference between an image's bytes and uint8 [H, W, 3]; 256 where the sizes differ.
inline int largest_difference(const Image& image, const at::Tensor& expected) {
  if (expected.sizes() != at::IntArrayRef({image.height, image.width, 3})) return 256;
  const uint8_t* other = expected.const_data_ptr<uint8_t>();
  int largest = 0;
  for (size_t i = 0; i < image.rgb.size(); ++i) largest = std::max(largest, std::abs(int{image.rgb[i]} - int{other[i]}));
  return largest;
}

}  // namespace dept::parity
