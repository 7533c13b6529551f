#include <span>

#include "dept/base/error.h"
#include "dept/vision/image.h"

// A JPEG or PNG file of any bytes is read or refused with an Error; a small image is resized too.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const dept::Image image = dept::decode_image(std::as_bytes(std::span(data, size)), "input");
    if (image.rgb.size() < 3 * 256 * 256) dept::resize_bicubic(image, 7, 9);
  } catch (const dept::Error&) {
  }
  return 0;
}
