// The two formats of pictures, each behind its library.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "dept/vision/image.h"

namespace dept {

/// Throws bad_input for sizes outside the limits of dept/vision/image.h.
void check_image_size(int64_t height, int64_t width, std::string_view where);

/// Bytes that begin with the format's signature. Both throw bad_input.
Image decode_jpeg(std::span<const std::byte> bytes, std::string_view where);
Image decode_png(std::span<const std::byte> bytes, std::string_view where);

}  // namespace dept
